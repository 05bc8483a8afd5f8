"""The rule of the gate: which findings fail, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from audit.result.schema import CheckResult, Severity, Verdict

VERDICTS: Final[Mapping[int, Literal["pass", "violation", "incomplete"]]] = {
    0: "pass",
    1: "violation",
    3: "incomplete",
}
"""Of an audit, by its exit code."""


def exit_code(
    checks: Sequence[CheckResult], *, fail_on: Severity, strict: bool
) -> Literal[0, 1, 3]:
    """0 nothing at or above ``fail_on``; 1 violations; 3 an ERROR, or nothing judged."""
    verdicts = [c.finding.verdict for c in checks]
    spoken = {Verdict.PASS, Verdict.VIOLATION, Verdict.INCONCLUSIVE}
    if Verdict.ERROR in verdicts or not any(v in spoken for v in verdicts):
        return 3
    return 1 if any(fails(c, fail_on=fail_on, strict=strict) for c in checks) else 0


def fails(check: CheckResult, *, fail_on: Severity, strict: bool) -> bool:
    """Whether a check fails the gate."""
    if check.waiver is not None or check.is_new is False:
        return False
    weighs = check.severity is Severity.ERROR or fail_on is Severity.WARNING
    if check.finding.verdict is Verdict.VIOLATION:
        return weighs
    return strict and check.finding.verdict is Verdict.INCONCLUSIVE and weighs
