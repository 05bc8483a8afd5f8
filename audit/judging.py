"""Judging: evidence and checks in, findings out; pure, and repeatable from disk."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol

from audit.evidence.kinds import Evidence
from audit.gallery import with_worst_pair
from audit.result import CheckResult, Failure, Finding, Severity, Verdict


class Judged(Protocol):
    """What judging needs to know of a check; see `principles.check.Check`."""

    id: str
    needs: frozenset[str]


def judge_all(
    checks: Sequence[Any],
    evidence: Evidence,
    failures: Sequence[Failure],
    *,
    severity: Mapping[str, str],
    thresholds: Mapping[str, Mapping[str, float]],
) -> tuple[list[CheckResult], list[Failure]]:
    """Judge every check on the evidence that it declares, and on nothing else.

    Args:
        checks: see `principles.check.Check`.
        evidence: what was gathered.
        failures: what went wrong while gathering, to be named where evidence is missing.
        severity: overrides by check.
        thresholds: overrides by check and name.

    Returns:
        One result per check, and failures of judging itself.
    """
    results, broken = [], []
    for check in checks:
        started = perf_counter()
        values = {**check.thresholds, **thresholds.get(check.id, {})}
        finding, failure = _judge(check, evidence, failures, values)
        finding = with_worst_pair(finding, evidence)
        broken += [failure] if failure else []
        if check.id in severity:
            finding = finding.model_copy(update={"severity": None})
        chosen = Severity(severity.get(check.id, (finding.severity or check.severity).value))
        results.append(_result(check, finding, chosen, values, perf_counter() - started))
    return results, broken


def _judge(
    check: Any,
    evidence: Evidence,
    failures: Sequence[Failure],
    thresholds: dict[str, Any],
) -> tuple[Finding, Failure | None]:
    missing = sorted(kind for kind in check.needs if getattr(evidence, kind) is None)
    if missing:
        cause = "; ".join(f.message for f in failures) or "it was not gathered"
        summary = f"No evidence of kind {', '.join(missing)}: {cause}"
        return Finding(verdict=Verdict.ERROR, summary=summary), None
    try:
        return check.judge(_only(evidence, check.needs), thresholds), None
    except Exception as error:  # noqa: BLE001 - a check that raised is an ERROR, never a pass
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        summary = f"The check itself failed: {type(error).__name__}: {error}"
        failure = Failure(where=f"judging {check.id}", message=str(error), traceback=text[-8000:])
        return Finding(verdict=Verdict.ERROR, summary=summary), failure


def _only(evidence: Evidence, needs: frozenset[str]) -> Evidence:
    """The evidence that a check declares; everything else is hidden from it."""
    hidden: dict[str, Any] = {
        f.name: None
        for f in dataclasses.fields(evidence)
        if f.name != "roles" and f.name not in needs
    }
    return dataclasses.replace(evidence, **hidden)


def _result(
    check: Any,
    finding: Finding,
    severity: Severity,
    thresholds: dict[str, Any],
    seconds: float,
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
        what_a_pass_does_not_show=text.get("What a pass does not show", ""),
        thresholds=thresholds,
        finding=finding,
        seconds=round(seconds, 3),
    )
