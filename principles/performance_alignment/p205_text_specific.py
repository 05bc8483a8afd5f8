"""P205 text-specific.

What it does: Explains every picture a second time, asked for a class that it does not show
(drawn evenly from the absent ones), and asks whether the map leaves the object of the pair's own
class: mean paired difference in localization of that object, with an interval by bootstrap over
pictures. A faithful control must pass and no
model-free one may, and two halves of the pictures must agree about the explainers' means of
this difference (split-half reliability).

Why it matters: A map that stays on the object whatever class is asked for shows where objects are,
not what the model found of the class.

How to fix it: Let the target's score enter the map: weigh activations by gradients of that score
and keep their sign, or compare it with other targets. Do not use attention, feature norms or
averages over targets alone. If the method ignores the target by design, declare
`text_specific = False`, so that readers know.

What a pass does not show: That the map of the right class is right, nor that the map of an absent
class goes to a sensible place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Explanations, Reference, Roles, TextSpecificity
from audit.result.finding import Finding, Severity, Verdict
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import witness
from principles.indifference import ZoneLimits
from principles.limits import AtMostOne, Correlation
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment.estimates import (
    controls_fail,
    flipped,
    judged,
    level_for,
    reasons,
    statistic,
    visible_difference,
)
from principles.performance_alignment.reliability import RELIABILITY
from principles.performance_alignment.settling import pairs_for_controls, settled_at, whole
from principles.performance_alignment.specificity_drops import difference_of, drop, reliability_of
from principles.performance_alignment.specificity_figures import (
    declared,
    specificity_pair,
    specificity_summary,
    specificity_table,
)

_SHOWN = 3
_TEST = "sign flips of {}s, the null being no difference"


@dataclass(frozen=True)
class Limits(ZoneLimits):
    """What a difference in localization is judged by."""

    none: Correlation = 0.0
    clear: Correlation = 0.04
    reliability: AtMostOne = RELIABILITY


def judge(
    explanations: Explanations,
    text_specificity: TextSpecificity,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where the interval lies below the least that counts."""
    other = text_specificity
    if roles.audited not in other.localization:
        summary = "There are no masks, so no object that a map could leave."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    differences = {
        n: difference_of(explanations, other, n, roles) for n in judged(roles, other.localization)
    }
    ours = differences[roles.audited]
    if not np.isfinite(ours).any():
        summary = "Every picture shows every class, so that none is absent."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    found = {
        name: drop(d, reference.cluster, level_for(name, roles, limits.error_rate))
        for name, d in differences.items()
    }
    zone = limits.zone
    reliable = reliability_of(differences, roles, reference, limits.reliability)
    why = reasons(controls_fail(found, roles, zone, "leaves the object"), reliable.why)
    verdict = Verdict.INCONCLUSIVE if why else zone.decide(found[roles.audited])
    pairs = len(reference.ids)
    settles = settled_at(
        found[roles.audited],
        zone,
        pairs,
        pairs_for_controls(found, roles, zone, pairs),
        reliable.pairs_needed,
    )
    settles = settles if verdict is Verdict.INCONCLUSIVE else pairs
    tested = flipped(found[roles.audited], ours, reference.cluster, zone.none)
    smallest = visible_difference(ours, reference.cluster, found[roles.audited].level)
    worst = _worst(ours, other.localization[roles.audited][roles.decides])
    shown = [reference.ids[i] for i in worst] if verdict is Verdict.VIOLATION else []
    name = "localization, own class minus absent class"
    return Finding(
        verdict=verdict,
        summary=specificity_summary(found[roles.audited], verdict, why, reference, zone, settles),
        detail=declared(roles),
        statistics=[
            statistic(name, tested, zone, smallest, _TEST.format(reference.cluster_name)),
            reliable.statistic,
        ],
        samples=shown,
        figures=[
            *(specificity_pair(int(i), reference, explanations, other, roles) for i in worst),
            specificity_table(explanations, other, found, roles),
        ],
        witness=witness(roles, "P205", shown[0], alone=False) if shown else None,
        remedy=_remedy(int(worst[0]), reference, other, roles) if shown else "",
        pairs_to_settle=whole(settles) if verdict is Verdict.INCONCLUSIVE else None,
        more_pairs_help=math.isfinite(settles),
    )


def _worst(difference: Array, absent: Array) -> Array:
    """The pairs whose map moves least, and of those the ones most on the object."""
    return np.lexsort((-absent, difference))[:_SHOWN]  # NaN last


def _remedy(pair: int, reference: Reference, other: TextSpecificity, roles: Roles) -> str:
    """What to do, by the pair whose map moves least."""
    absent = reference.classes[int(other.absent[pair])]
    return remedies.of_target(reference.ids[pair], absent, declared=not roles.text_specific)


CHECK = Check(
    id="P205",
    name="text-specific",
    title="Does the map of an absent class leave the object?",
    failure_title="The map stays on the object whatever class is asked for",
    severity=Severity.ERROR,
    reference="Class-discriminative maps: Selvaraju et al. 2017 (arXiv 1610.02391); Cui and Fan "
    "2026, principle 2 (arXiv 2605.12952)",
    judge=judge,
)
