"""The formats in which a result can be written: name, file name, and how to render it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from audit.result.schema import Result

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True)
class Format:
    """One output format.

    Attributes:
        name: as given to ``--format``.
        file_name: the file that it is written to, in UTF-8.
        render: from a result to the file's text.
        description: one line for the command's help.
    """

    name: str
    file_name: str
    render: Callable[[Result], str]
    description: str


def _html(result: Result) -> str:
    from audit.reports.html import render_html

    return render_html(result)


def _json(result: Result) -> str:
    from audit.result.document import render_json

    return render_json(result)


def _sarif(result: Result) -> str:
    from audit.reports.sarif import render_sarif

    return render_sarif(result)


def _junit(result: Result) -> str:
    from audit.reports.junit import render_junit

    return render_junit(result)


def _markdown(result: Result) -> str:
    from audit.reports.markdown import render_markdown

    return render_markdown(result)


def _github(result: Result) -> str:
    from audit.reports.github import render_github

    return render_github(result)


def _badge(result: Result) -> str:
    from audit.reports.badge import render_badge

    return render_badge(result)


def _schema(result: Result) -> str:
    from audit.result.document import render_schema

    del result  # the same for all
    return render_schema()


_ALL: Final = (
    Format("html", "report.html", _html, "one offline page for readers"),
    Format("json", "result.json", _json, "everything, to be read again"),
    Format("sarif", "audit.sarif", _sarif, "SARIF 2.1.0 for code scanning"),
    Format("junit", "junit.xml", _junit, "JUnit XML for CI servers"),
    Format("markdown", "summary.md", _markdown, "a table for step summaries"),
    Format("github", "annotations.txt", _github, "workflow commands of GitHub Actions"),
    Format("badge", "badge.svg", _badge, "a small picture of the verdict"),
    Format("schema", "result_schema.json", _schema, "the JSON schema of result.json"),
)
FORMATS: Final = MappingProxyType({one.name: one for one in _ALL})
