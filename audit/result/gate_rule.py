"""The rule of the gate: which findings fail, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypedDict

from audit.result.finding import Severity, Verdict
from audit.result.schema import CheckResult, Failure, Result

VERDICTS: Final[Mapping[int, Literal["pass", "violation", "incomplete"]]] = {
    0: "pass",
    1: "violation",
    3: "incomplete",
}
"""Of an audit, by its exit code."""

NO_VERDICT: Final = frozenset({Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE})
"""The check has looked, and says neither that it passes nor that it is violated."""


class Rule(TypedDict):
    """What decides, beside the checks, whether the gate fails."""

    fail_on: Severity
    strict: bool


def rule_of(result: Result) -> Rule:
    """The rule by which the exit code of a result was found."""
    settings = result.conditions.settings
    warning = settings.get("fail_on") == Severity.WARNING.value
    return {
        "fail_on": Severity.WARNING if warning else Severity.ERROR,
        "strict": settings.get("strict") == "True",
    }


def exit_code(
    checks: Sequence[CheckResult],
    failures: Sequence[Failure] = (),
    *,
    fail_on: Severity,
    strict: bool,
) -> Literal[0, 1, 3]:
    """0 nothing at or above ``fail_on``; 1 violations; 3 a failure, an ERROR, or no verdict.

    An explainer that failed where no selected check looked has failed all the same. Where no check
    comes to a verdict nothing fails, and nothing has been shown: that is not green.
    """
    verdicts = {c.finding.verdict for c in checks}
    if went_wrong(checks, failures):
        return 3
    if any(fails(c, fail_on=fail_on, strict=strict) for c in checks):
        return 1
    return 3 if verdicts <= NO_VERDICT else 0


def went_wrong(checks: Sequence[CheckResult], failures: Sequence[Failure]) -> bool:
    """Whether something could not be gathered or judged; else the evidence is whole."""
    return bool(failures) or any(c.finding.verdict is Verdict.ERROR for c in checks)


def fails(check: CheckResult, *, fail_on: Severity, strict: bool) -> bool:
    """Whether a check fails the gate.

    A required one that comes to no verdict always does, unless waived; no baseline excuses it.
    """
    if check.waiver is not None:
        return False
    if check.required and check.finding.verdict in NO_VERDICT:
        return True
    if check.is_new is False:
        return False
    weighs = check.severity is Severity.ERROR or fail_on is Severity.WARNING
    if check.finding.verdict is Verdict.VIOLATION:
        return weighs
    return strict and check.finding.verdict is Verdict.INCONCLUSIVE and weighs
