"""Evidence of a context, gathered in memory: nothing is saved, and what fails raises."""

from __future__ import annotations

import dataclasses

from audit.evidence.context import Context
from audit.evidence.kinds import Evidence
from audit.evidence.plan import gather_kind, plan


def gathered(context: Context, *kinds: str, given: Evidence | None = None) -> Evidence:
    """The kinds asked for with what they need, beside what is given."""
    evidence = given or Evidence(roles=context.roles)
    for kind in plan(frozenset(kinds)):
        if getattr(evidence, kind) is None:
            found = {kind: gather_kind(kind, context, evidence)}
            evidence = dataclasses.replace(evidence, **found)
    return evidence
