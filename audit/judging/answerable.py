"""Which checks saved maps can answer: those that need no further run of the explainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from audit.evidence.kinds import Roles
from audit.judging.group_sequential import Judged
from audit.judging.judge_all import judged_without_evidence
from audit.result.finding import Finding, Verdict
from principles.check import Check

RUNS_THE_EXPLAINER = frozenset(
    {
        "trace",
        "costs",
        "explained_towers",
        "reparametrization",
        "randomization",
        "repeatability",
        "executed",
        "ladder",
        "rung_faithfulness",
        "other_models",
    }
)
"""Kinds of evidence for which the explainer runs on other models, or is watched."""


def answerable(checks: Sequence[Check], roles: Roles) -> list[Check]:
    """The checks that the audited explainer's maps can answer: all, unless these were saved."""
    if not roles.saved:
        return list(checks)
    return [c for c in checks if not (c.needs - c.on_demand) & RUNS_THE_EXPLAINER]


def with_the_others(found: Judged, checks: Sequence[Check], severity: Mapping[str, str]) -> Judged:
    """Findings in the order of the checks, those that were not asked as NOT_APPLICABLE."""
    known = {result.id: result for result in found.results}
    summary = "The maps were saved elsewhere: this asks the explainer itself, which is not here."
    finding = Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    results = [
        known.get(check.id) or judged_without_evidence(check, finding, severity) for check in checks
    ]
    return replace(found, results=results)
