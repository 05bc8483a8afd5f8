"""The result as workflow commands of GitHub Actions: annotations on the explainer's lines."""

from __future__ import annotations

from typing import Final

from audit.reports import statuses
from audit.reports.repository_places import (
    path_from_root,
    places_elsewhere,
    places_in_repository,
)
from audit.result import wording as words
from audit.result.finding import Verdict
from audit.result.gate_rule import fails, rule_of
from audit.result.schema import CheckResult, Result

__all__ = ["escape_data", "escape_property", "render_github"]

_LEVELS: Final = {
    "violation": "error",
    "error": "error",
    "warning": "warning",
    "waived": "notice",
}


def render_github(result: Result) -> str:
    """One command per check that is violated, and one for all that come to no verdict.

    File and line are told where they lie in the user's repository: an annotation of another file
    is shown nowhere. The text is for the standard output of a workflow's step.
    """
    lines = [
        _command(_LEVELS[statuses.status_of(check).key], check, result)
        for check in result.checks
        if statuses.status_of(check).key in _LEVELS
    ]
    lines += _without_verdict(result)
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
    places = places_in_repository(check, result)
    if places:
        first = places[0]
        file = path_from_root(first.file, result)
        properties = {"file": _clean(file, 400), "line": str(max(first.line, 1))}
    properties["title"] = _clean(f"{check.id} {check.name}: {status.word.lower()}", 120)
    written = ",".join(f"{key}={escape_property(value)}" for key, value in properties.items())
    message = _clean(check.finding.summary)
    elsewhere = [] if places else places_elsewhere(check)
    message += "".join(f" At {_clean(one.file, 400)}:{one.line}." for one in elsewhere[:1])
    if remedy := statuses.remedy(check):
        message += f"\n{_clean(f'What to do: {remedy}')}"
    return f"::{level} {written}::{escape_data(message)}"


def _without_verdict(result: Result) -> list[str]:
    """One command for all of them: a note, or an error where they fail the gate by themselves."""
    rule = rule_of(result)
    silent = [c for c in result.checks if c.finding.verdict is Verdict.NOT_APPLICABLE]
    checks = [*statuses.inconclusive(result), *(c for c in silent if fails(c, **rule))]
    if not checks:
        return []
    level = "error" if any(fails(check, **rule) for check in checks) else "notice"
    title = f"{words.counted(len(checks), 'check')} without a verdict"
    lines = (f"{check.id} {check.name}: {check.finding.summary}" for check in checks)
    message = "\n".join(_clean(line, 400) for line in lines)
    return [f"::{level} title={escape_property(title)}::{escape_data(message)}"]


def _clean(text: str, limit: int = 1000) -> str:
    return words.visible(words.shorten(text, limit))
