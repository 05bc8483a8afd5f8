"""Evidence of a context, gathered in memory: nothing is saved, and what fails raises."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from audit.config.settings import Settings
from audit.engine.context_building import build_context
from audit.engine.profiles import SIZES
from audit.engine.progress import silent
from audit.evidence.context import Context
from audit.evidence.kinds import Evidence
from audit.evidence.plan import gather_kind, plan
from audit.explainers.registry import load_explainer
from audit.judging.judge_all import judge_all
from audit.models.model_under_audit import ModelUnderAudit
from principles.catalogue import all_checks

TRACED = ("P101", "P102", "P103", "P104", "P105")


def gathered(context: Context, *kinds: str, given: Evidence | None = None) -> Evidence:
    """The kinds asked for with what they need, beside what is given."""
    evidence = given or Evidence(roles=context.roles)
    for kind in plan(frozenset(kinds)):
        if getattr(evidence, kind) is None:
            found = {kind: gather_kind(kind, context, evidence)}
            evidence = dataclasses.replace(evidence, **found)
    return evidence


def traced_verdicts(
    model: ModelUnderAudit, data: str, explainers: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Verdicts of P101 to P105, of one pair of the data, by explainer; the null control is one."""
    checks = [check for check in all_checks() if check.id in TRACED]
    found: dict[str, dict[str, str]] = {}
    first: Context | None = None
    for explainer in explainers:
        settings = Settings(explainer=explainer, model=model.name, data=data, samples=2)
        context = build_context(settings, model, load_explainer(explainer), silent)
        context.sizes = dataclasses.replace(SIZES["quick"], traced=1)
        first = first or context
        context.pristine, context.traced_copies = first.pristine, first.traced_copies
        evidence = gathered(context, "reference", "trace")
        results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
        assert not failures, failures
        found[explainer] = {result.id: result.finding.verdict.value for result in results}
    return found
