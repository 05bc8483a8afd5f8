"""The baseline: an accepted earlier result, against which only what is new or worse fails."""

from __future__ import annotations

from audit.result import wording as words
from audit.result.finding import Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.schema import CheckResult, Result

BADNESS = {
    Verdict.PASS: 0,
    Verdict.NOT_APPLICABLE: 0,
    Verdict.INCONCLUSIVE: 1,
    Verdict.VIOLATION: 2,
    Verdict.ERROR: 3,
}
ACCEPTED = BADNESS | {Verdict.ERROR: 0}  # of an earlier result: where it has no verdict, nothing is
TOLERANCE = 0.05  # relative, for numbers without an interval


def apply_baseline(
    checks: list[CheckResult], baseline: Result, *, same_subject: bool
) -> tuple[list[CheckResult], list[str]]:
    """Mark what is violated or inconclusive as new, or as known already.

    Args:
        checks: the judged checks.
        baseline: the accepted result.
        same_subject: model and data are the baseline's, so that numbers can be compared.
    """
    before = {check.id: check for check in baseline.checks}
    marked, notes = [], []
    for check in checks:
        if check.finding.verdict not in {Verdict.VIOLATION, Verdict.INCONCLUSIVE}:
            marked.append(check)
            continue
        why = worse(before.get(check.id), check, numbers=same_subject)
        marked.append(check.model_copy(update={"is_new": why is not None}))
        if why and check.id in before:
            notes.append(f"{check.id} is worse than in the baseline: {why}.")
    if not same_subject:
        notes.append(
            "The baseline is of another model or other data: only verdicts are compared with "
            "it, not numbers."
        )
    return marked, notes


def worse(old: CheckResult | None, new: CheckResult, *, numbers: bool) -> str | None:
    """Why a check came out worse than before; None where it did not.

    Worse is a worse verdict, a higher severity, more places in the source, or, with ``numbers``,
    a statistic on the bad side of its old one: beyond both intervals, or by more than 5 % where
    there are none.
    """
    was = old.finding.verdict if old else Verdict.PASS
    now = new.finding.verdict
    if was is not now and BADNESS[now] > ACCEPTED[was]:
        return f"{was.value if old else 'not checked'} → {now.value}"
    if old is None or now is not Verdict.VIOLATION:
        return None
    if new.severity is Severity.ERROR and old.severity is Severity.WARNING:
        return "warning → error"
    places = {(p.file, p.text) for p in new.finding.locations}
    known = {(p.file, p.text) for p in old.finding.locations}
    if len(places) > len(known):
        return f"found in {len(places)} places, before in {len(known)}"
    return _worse_statistic(old, new) if numbers else None


def _worse_statistic(old: CheckResult, new: CheckResult) -> str | None:
    before = {statistic.name: statistic for statistic in old.finding.statistics}
    for now in new.finding.statistics:
        was = before.get(now.name)
        if was is not None and _is_worse(was, now):
            return f"{now.name} {words.number(was.value)} → {words.number(now.value)}"
    return None


def _is_worse(was: Statistic, now: Statistic) -> bool:
    if was.value is None or now.value is None or now.good_side is None:
        return False
    sign = 1 if now.good_side == "above" else -1
    drop = sign * (was.value - now.value)
    if was.interval is None or now.interval is None:
        return drop > TOLERANCE * abs(was.value)
    ends = (was.interval.low, was.interval.high, now.interval.low, now.interval.high)
    low, high, new_low, new_high = (float("nan") if end is None else end for end in ends)
    return new_high < low if sign > 0 else new_low > high
