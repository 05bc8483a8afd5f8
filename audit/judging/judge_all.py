"""Judging: evidence and checks in, findings out; pure, and repeatable from disk."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from audit.evidence.kinds import Evidence
from audit.judging.gallery import with_worst_pair
from audit.judging.multiplicity import (
    Gone,
    holm_over_checks,
    with_adjusted_p,
    with_shared_rate,
)
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.schema import CheckResult, Failure
from audit.statistics.power import pairs_to_clear
from principles.check import Check
from principles.limits import CheckLimits

ERROR_RATE = "error_rate"
_MEND_AND_REPEAT = (
    "Mend what failed and give the same command again; what was finished by then is kept."
)
_OF_PICTURES = frozenset({"explanations", "faithfulness", "rung_faithfulness"})
_NO_PICTURE = (
    "The explainer declares that it explains the tokens of the text: this check asks how well maps "
    "of pictures lie."
)
Timed = Callable[[str], AbstractContextManager[Any]]
"""Times what is done within, under a name."""


def judge_all(
    checks: Sequence[Check],
    evidence: Evidence,
    failures: Sequence[Failure],
    *,
    severity: Mapping[str, str],
    thresholds: Mapping[str, Mapping[str, float]],
    spend: Callable[[float], float] = float,
    gone: Mapping[int, Gone] = MappingProxyType({}),
    to_come: frozenset[str] = frozenset(),
    timed: Timed = nullcontext,
) -> tuple[list[CheckResult], list[Failure]]:
    """Judge every check on the evidence that it declares, and on nothing else.

    The checks of a principle with a threshold ``error_rate`` share it by Holm's procedure: see
    `audit.judging.multiplicity.holm_over_checks`.

    Args:
        checks: see `principles.check.Check`.
        evidence: what was gathered.
        failures: what went wrong while gathering, to be named where evidence is missing.
        severity: overrides by check.
        thresholds: overrides by check and name.
        spend: the level at which to judge for an error rate, below it where evidence is looked at
            several times.
        gone: by principle, checks that are no longer judged and share the error rate all the same.
        to_come: kinds of evidence that a check may still ask for; without them it is an ERROR.
        timed: times the judging of each check, by its id.

    Returns:
        One result per check, and failures of judging itself.
    """
    results, broken = [], []
    limits_of = {c.id: c.limits(thresholds.get(c.id)) for c in checks}
    judge = partial(_judge, evidence=evidence, failures=failures, to_come=to_come, timed=timed)
    tested: dict[str, tuple[Finding, Failure | None]] = {}
    for principle in {c.principle: None for c in checks}:
        own = [c for c in checks if c.principle == principle and ERROR_RATE in c.thresholds]
        tested |= _tested(own, judge, limits_of, spend, gone.get(principle, Gone()))
    for check in checks:
        limits = limits_of[check.id]
        finding, failure = tested.get(check.id) or judge(check, limits)
        finding = with_worst_pair(_with_pairs(finding, evidence), evidence)
        broken += [failure] if failure else []
        if check.id in severity:
            finding = finding.model_copy(update={"severity": None})
        chosen = Severity(severity.get(check.id, (finding.severity or check.severity).value))
        results.append(_result(check, finding, chosen, limits))
    return results, broken


def judged_without_evidence(
    check: Check, finding: Finding, severity: Mapping[str, str]
) -> CheckResult:
    """The result of a check whose finding no evidence is needed for.

    Args:
        check: see `principles.check.Check`.
        finding: what is told of it.
        severity: overrides by check.
    """
    chosen = Severity(severity.get(check.id, check.severity.value))
    return _result(check, finding, chosen, check.limits())


def _tested(
    checks: Sequence[Check],
    judge: Callable[[Check, CheckLimits], tuple[Finding, Failure | None]],
    limits: Mapping[str, CheckLimits],
    spend: Callable[[float], float],
    gone: Gone,
) -> dict[str, tuple[Finding, Failure | None]]:
    """The checks that share an error rate."""
    by_id = {c.id: c for c in checks}
    rates = {name: float(limits[name].values()[ERROR_RATE]) for name in by_id}

    def at(name: str, rate: float) -> tuple[Finding, Failure | None]:
        return judge(by_id[name], replace(limits[name], **{ERROR_RATE: spend(rate)}))

    found = holm_over_checks(rates, at, lambda one: one[0], gone)
    together = (
        gone.passed
        + gone.violated
        + gone.left
        + sum(bool(one[0].statistics) for one, _ in found.values())
    )
    adjusted = with_adjusted_p({name: finding for name, ((finding, _), _) in found.items()})
    return {
        name: (with_shared_rate(adjusted[name], spend(rate), together, rates[name]), failure)
        for name, ((_, failure), rate) in found.items()
    }


def _with_pairs(finding: Finding, evidence: Evidence) -> Finding:
    """Say how many pairs would settle an INCONCLUSIVE at the size seen."""
    if finding.pairs_to_settle is not None:
        return _with_settling(finding)
    unsettled = finding.verdict is Verdict.INCONCLUSIVE and finding.pairs_to_settle is None
    unsettled = unsettled and finding.more_pairs_help
    straddling = [s for s in finding.statistics if _straddles(s)]
    if not unsettled or not straddling or evidence.reference is None:
        return finding
    first, pairs = straddling[0], len(evidence.reference.ids)
    ends = first.interval
    needed = pairs_to_clear(first.value, ends.low, ends.high, ends.level, first.threshold, pairs)  # type: ignore[union-attr, arg-type]
    if needed is None:
        return finding
    words = f"By its {first.name}, about {needed:,} pairs would settle an effect of the size seen."
    update = {"pairs_to_settle": needed, "detail": [*finding.detail, words]}
    return _with_settling(finding.model_copy(update=update))


def _with_settling(finding: Finding) -> Finding:
    """Name the number of pairs that would settle it as what to do, unless the check names more."""
    if finding.remedy or finding.verdict is not Verdict.INCONCLUSIVE:
        return finding
    pairs = finding.pairs_to_settle
    return finding.model_copy(update={"remedy": f"Audit about {pairs:,} pairs: --samples {pairs}."})


def _straddles(statistic: Statistic) -> bool:
    """Whether a number's interval has its threshold inside."""
    ends = statistic.interval
    if ends is None or None in {ends.low, ends.high, statistic.value, statistic.threshold}:
        return False
    return bool(ends.low <= statistic.threshold <= ends.high)  # type: ignore[operator]


def _judge(
    check: Check,
    limits: CheckLimits,
    *,
    evidence: Evidence,
    failures: Sequence[Failure],
    to_come: frozenset[str],
    timed: Timed,
) -> tuple[Finding, Failure | None]:
    of_pictures = check.needs & _OF_PICTURES and "effects" not in check.needs
    if evidence.roles.explains_text and of_pictures:
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=_NO_PICTURE), None
    needed = check.needs - (check.on_demand & to_come)
    missing = sorted(kind for kind in needed if getattr(evidence, kind) is None)
    if missing:
        cause = "; ".join(f.message for f in failures) or "it was not gathered"
        summary = f"No evidence of kind {', '.join(missing)}: {cause}"
        return Finding(verdict=Verdict.ERROR, summary=summary, remedy=_MEND_AND_REPEAT), None
    try:
        with timed(check.id):
            return check.finding(evidence, limits), None
    except Exception as error:  # noqa: BLE001 - a check that raised is an ERROR, never a pass
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        summary = f"The check itself failed: {type(error).__name__}: {error}"
        failure = Failure(where=f"judging {check.id}", message=str(error), traceback=text[-8000:])
        remedy = f"Report this with result.json, or go on without it: --ignore {check.id}."
        return Finding(verdict=Verdict.ERROR, summary=summary, remedy=remedy), failure


def _result(
    check: Check,
    finding: Finding,
    severity: Severity,
    limits: CheckLimits,
) -> CheckResult:
    text = check.documentation
    return CheckResult(
        id=check.id,
        name=check.name,
        principle=check.principle,
        title=check.failure_title if finding.verdict is Verdict.VIOLATION else check.title,
        severity=severity,
        reference=check.reference,
        what_it_does=text.get("What it does", ""),
        why_it_matters=text.get("Why it matters", ""),
        how_to_fix=text.get("How to fix it", ""),
        what_a_pass_does_not_show=text.get("What a pass does not show", ""),
        thresholds=limits.values(),
        finding=finding,
    )
