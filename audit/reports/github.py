"""The result as workflow commands of GitHub Actions: annotations on the explainer's lines."""

from __future__ import annotations

from typing import Final

from audit.reports import statuses
from audit.result import wording as words
from audit.result.schema import CheckResult, Result

__all__ = ["escape_data", "escape_property", "render_github"]

_LEVELS: Final = {
    "violation": "error",
    "error": "error",
    "warning": "warning",
    "waived": "notice",
    "inconclusive": "notice",
}


def render_github(result: Result) -> str:
    """One command per check that did not pass, with file and line where they are known.

    The text is for the standard output of a workflow's step.
    """
    lines = [
        _command(_LEVELS[statuses.status_of(check).key], check, result)
        for check in result.checks
        if statuses.status_of(check).key in _LEVELS
    ]
    lines += [
        f"::error title={escape_property(_clean(failure.where, 100))}"
        f"::{escape_data(_clean(failure.message))}"
        for failure in result.failures
    ]
    return "".join(f"{line}\n" for line in lines)


def escape_data(text: str) -> str:
    """The message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """The value of a workflow command's property."""
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _command(level: str, check: CheckResult, result: Result) -> str:
    status = statuses.status_of(check)
    if status.key in {"violation", "warning"} and check.is_new is False:
        level = "notice"  # in the baseline already
    properties = {}
    if check.finding.locations:
        place = check.finding.locations[0]
        properties = {"file": _clean(place.file, 400), "line": str(max(place.line, 1))}
    elif result.explainer.source_file:
        properties = {
            "file": _clean(result.explainer.source_file, 400),
            "line": str(max(result.explainer.source_line or 1, 1)),
        }
    properties["title"] = _clean(f"{check.id} {check.name}: {status.word.lower()}", 120)
    written = ",".join(f"{key}={escape_property(value)}" for key, value in properties.items())
    return f"::{level} {written}::{escape_data(_clean(check.finding.summary))}"


def _clean(text: str, limit: int = 1000) -> str:
    return words.visible(words.shorten(text, limit))
