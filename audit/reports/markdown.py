"""The result as Markdown, for step summaries and pull request comments."""

from __future__ import annotations

import re
from typing import Final

from audit.reports import statuses
from audit.result import wording as words
from audit.result.schema import CheckResult, Result

__all__ = ["escape_markdown", "render_markdown"]

_ACTIVE: Final = re.compile(r"([\\`*_{}\[\]()<>#|~&$!:@^])")
_QUIET: Final = frozenset({"pass", "not-applicable"})


def render_markdown(result: Result) -> str:
    """A heading, a table of the checks, and what failed in words; foreign text stays text."""
    return "\n".join(
        [
            f"## {statuses.verdict_word(result)}: {escape_markdown(result.headline)}",
            "",
            _subject(result),
            "",
            *_table(result),
            "",
            *_sentences(result),
            f"{statuses.tally(result)}; exit code {result.exit_code}.",
            "",
        ]
    )


def escape_markdown(text: str, limit: int = 400) -> str:
    """`text` on one line, with no character left that GitHub or GitLab gives a meaning to.

    Markup, links, mentions, formulas and emoji codes appear as they were typed.
    """
    line = words.visible(words.shorten(" ".join(text.split()), limit))
    escaped = _ACTIVE.sub(r"\\\1", line)
    return escaped.replace("www.", "www\\.").replace("WWW.", "WWW\\.")


def _subject(result: Result) -> str:
    parts = {
        "Explainer": words.explainer_phrase(result),
        "model": words.model_phrase(result),
        "data": words.data_phrase(result),
    }
    return "; ".join(f"{name}: **{escape_markdown(value, 120)}**" for name, value in parts.items())


def _table(result: Result) -> list[str]:
    lines = ["| | Check | Verdict | Measured |", "| --- | --- | --- | --- |"]
    order = {status.key: rank for rank, status in enumerate(statuses.STATUSES)}
    for check in sorted(result.checks, key=lambda one: order[statuses.status_of(one).key]):
        status = statuses.status_of(check)
        name = f"{escape_markdown(check.id, 12)} {escape_markdown(check.name, 60)}"
        lines.append(f"| {status.glyph} | {name} | {status.word} | {_measured(check)} |")
    return lines


def _measured(check: CheckResult) -> str:
    for statistic in check.finding.statistics:
        if statistic.value is not None:
            name = escape_markdown(statistic.name, 60)
            return f"{name} {escape_markdown(words.statistic_phrase(statistic), 120)}"
    return words.DASH


def _sentences(result: Result) -> list[str]:
    lines = []
    for check in result.checks:
        status = statuses.status_of(check)
        if status.key in _QUIET:
            continue
        place = _place(check)
        summary = escape_markdown(check.finding.summary)
        lines.append(
            f"- **{escape_markdown(check.id, 12)}** {status.word.lower()}: {summary}{place}"
        )
        if remedy := statuses.remedy(check):
            lines.append(f"  What to do: {escape_markdown(remedy, 600)}")
    return [*lines, ""] if lines else []


def _place(check: CheckResult) -> str:
    if not check.finding.locations:
        return ""
    first = check.finding.locations[0]
    return f" ({escape_markdown(first.file, 160)}, line {first.line})"
