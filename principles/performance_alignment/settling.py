"""How many pairs would settle a check of principle 2, at the sizes seen."""

from __future__ import annotations

import math
from collections.abc import Mapping

from audit.evidence.kinds import Roles
from audit.result.finding import Verdict
from audit.statistics.estimate import Estimate
from audit.statistics.power import pairs_to_clear
from principles.indifference import Zone
from principles.performance_alignment.estimates import controls_fail, others


def pairs_for_controls(
    estimates: Mapping[str, Estimate], roles: Roles, zone: Zone, pairs: int
) -> float:
    """Pairs at which the controls would let a measure speak, by what they show now.

    The pairs that there are where they do already; infinite where a faithful control lies below the
    middle of the zone, or a model-free one passes: more pairs would confirm that.
    """
    if not controls_fail(estimates, roles, zone, ""):
        return pairs
    faithful = [estimates[n] for n in others(roles, estimates)]
    if not faithful or any(zone.decide(e) is Verdict.PASS for e in faithful):
        return math.inf
    best = max(faithful, key=lambda e: e.value)
    return settled_at(best, zone, pairs) if best.value > zone.middle else math.inf


def settled_at(ours: Estimate, zone: Zone, pairs: int, *others_: float) -> float:
    """Pairs at which an effect of the size seen would be settled, and whatever else is needed."""
    needed: float | None = pairs
    if zone.decide(ours) is Verdict.INCONCLUSIVE:
        ends = (ours.low, ours.high, ours.level)
        needed = pairs_to_clear(ours.value, *ends, zone.end(ours.value), pairs)
    return max([math.inf if needed is None else needed, *others_])


def whole(pairs: float) -> int | None:
    """A number of pairs for a finding, None where it has no bound."""
    return math.ceil(pairs) if math.isfinite(pairs) else None


def settling_words(pairs: float) -> str:
    """How many pairs would settle what was seen, controls and reliability included."""
    if math.isfinite(pairs):
        return f"At the sizes seen, about {whole(pairs):,} pairs would settle it."
    return "At the sizes seen, no number of pairs would settle it."
