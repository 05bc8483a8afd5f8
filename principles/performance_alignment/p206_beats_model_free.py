"""P206 beats-model-free.

What it does: Compares the quality of the maps, pair by pair, with that of maps that never look at
the model: a center prior, an edge detector and a random map. It passes if the maps beat each of
them, each tested at the whole error rate, and is violated if their lead over one is less than
counts, for which the controls share the rate; intervals are by bootstrap over pictures.
Localization decides where there are masks, faithfulness where there are none or where no faithful
control beats the model-free ones by localization. A measure speaks only if two halves of the
pictures (each with its own fill, of faithfulness) agree about the means of the explainers. A
violation is an error where objects stand everywhere alike, as in the bundled scenes and in grids,
and a warning elsewhere.

Why it matters: What a fixed blob in the middle does as well needs no explainer.

How to fix it: Check first that the map is in place: not transposed, flipped, shifted by the class
token or of the wrong sign. If it is, try another layer, or a method that works for this model, such
as attention times its gradient. Do not add a center prior or edges to the map to pass.

What a pass does not show: That the maps read this model: P107 and P201 ask that. On photographs
with the object in the middle a center prior beats honest methods, and the check cannot speak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Explanations, Faithfulness, Reference, Roles
from audit.result.finding import Finding, Severity, Verdict
from audit.statistics.bootstrap import Draws, bootstrap_draws
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import witness
from principles.indifference import ERROR_RATE, Zone, ZoneLimits
from principles.limits import AtMostOne, Number
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment.estimates import (
    CONTROL_RATE,
    Measure,
    Reading,
    combined,
    measures,
    others,
    reasons,
)
from principles.performance_alignment.gain_figures import (
    gain_pair,
    gain_sentence,
    gain_statistics,
    gain_table,
)
from principles.performance_alignment.reliability import RELIABILITY, over_explainers
from principles.performance_alignment.rivals import Lead, lead_over, pairs_for, why_no_control
from principles.performance_alignment.settling import whole

RESAMPLES = 2000
_SHOWN = 2


@dataclass(frozen=True)
class Limits(ZoneLimits):
    """What a gain over model-free maps is judged by."""

    none: Number = 0.0
    clear: Number = 0.04
    reliability: AtMostOne = RELIABILITY


def judge(
    explanations: Explanations,
    faithfulness: Faithfulness,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where an interval lies below the least gain that counts."""
    measured = measures(explanations, faithfulness, roles)
    found = combined([_reading(m, reference, roles, explanations.maps, limits) for m in measured])
    grave = found.verdict is Verdict.VIOLATION and reference.balanced
    return found.model_copy(update={"severity": Severity.ERROR}) if grave else found


def _reading(
    measure: Measure,
    reference: Reference,
    roles: Roles,
    maps: dict[str, Array],
    limits: Limits,
) -> Reading:
    zone, pairs = limits.zone, len(reference.ids)
    picture = reference.cluster[measure.pairs]
    faithful = {
        n: gains(measure, roles, n, picture, zone, CONTROL_RATE)
        for n in others(roles, measure.values)
    }
    found = gains(measure, roles, roles.audited, picture, zone, limits.error_rate)
    reliable = over_explainers(measure, roles, picture, limits.reliability, reference.cluster_name)
    why = reasons(why_no_control(faithful, "beats the model-free ones"), reliable.why)
    best = next(iter(found.shown))
    unit = reference.cluster_name
    difference = measure.values[roles.audited] - measure.values[best]
    settles = max(pairs_for(found, faithful, pairs), reliable.pairs_needed)
    shown = np.argsort(difference, kind="stable")[:_SHOWN]
    chosen = [int(i) for i in measure.pairs[shown]]
    return Reading(
        may_speak=not why,
        verdict=found.verdict,
        sentence=gain_sentence(measure.name, best, found, why, settles, unit),
        statistics=[
            *gain_statistics(measure, roles, found, picture, unit),
            reliable.statistic,
        ],
        figures=[
            *(gain_pair(i, reference, maps, roles, best) for i in chosen),
            gain_table(measure, roles, found),
        ],
        witness=witness(roles, "P206", reference.ids[chosen[0]], alone=False),
        pairs_to_settle=whole(settles),
        more_pairs_help=math.isfinite(settles),
        remedy=remedies.of_controls(best, reference.ids[chosen[0]]),
    )


def gains(
    measure: Measure, roles: Roles, name: str, picture: Array, zone: Zone, rate: float = ERROR_RATE
) -> Lead:
    """What an explainer's maps have over each model-free control."""
    ours = measure.values[name]
    controls = [n for n in roles.negative if n in measure.values]

    def over(resamples: int) -> dict[str, Draws]:
        return {
            control: bootstrap_draws(
                ours - measure.values[control],
                clusters=picture,
                rng=np.random.default_rng(0),
                resamples=resamples,
            )
            for control in controls
        }

    return lead_over(len(controls), over, zone, rate, RESAMPLES)


CHECK = Check(
    id="P206",
    name="beats-model-free",
    title="Are the maps better than those that never look at the model?",
    failure_title="Maps that never look at the model are as good",
    severity=Severity.WARNING,
    reference="Adebayo et al. 2018 (arXiv 1810.03292); intersection-union test: Berger 1982",
    judge=judge,
)
