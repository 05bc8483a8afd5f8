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
from audit.result.figures import PairFigure, TableFigure
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.wording import DASH, counted, number
from audit.statistics.bootstrap import Draws, bootstrap_draws
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import interval_words, pair_figure, witness
from principles.indifference import ERROR_RATE, Zone, ZoneLimits
from principles.limits import AtMostOne, Number
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment.estimates import (
    CONTROL_RATE,
    Measure,
    Reading,
    combined,
    flipped,
    measures,
    others,
    reasons,
    statistic,
    visible_difference,
)
from principles.performance_alignment.reliability import RELIABILITY, over_explainers
from principles.performance_alignment.rivals import Lead, lead_over, pairs_for, why_no_control
from principles.performance_alignment.settling import (
    settling_words,
    whole,
)

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
        sentence=_sentence(measure.name, best, found, why, settles, unit),
        statistics=[
            *_statistics(measure, roles, found, picture, unit),
            reliable.statistic,
        ],
        figures=[
            *(_figure(i, reference, maps, roles, best) for i in chosen),
            _table(measure, roles, found),
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

    def over(control: str, resamples: int) -> Draws:
        return bootstrap_draws(
            ours - measure.values[control],
            clusters=picture,
            rng=np.random.default_rng(0),
            resamples=resamples,
        )

    controls = [n for n in roles.negative if n in measure.values]
    return lead_over(controls, over, zone, rate, RESAMPLES)


def _sentence(measure: str, control: str, found: Lead, why: str, settles: float, unit: str) -> str:
    ours = found.shown[control]
    size = f"{interval_words(ours)}, n = {counted(ours.n, unit)}"
    if why:
        return (
            f"By {measure} nothing can be said: {why}; the audited maps have a gain over {control} "
            f"of {size}. {settling_words(settles)}"
        )
    if found.verdict is Verdict.PASS:
        return f"Maps beat every model-free control ({measure}): the gain over {control} is {size}."
    if found.verdict is Verdict.VIOLATION:
        faint = found.zone.faint_words(ours)
        return f"Maps are no better than {control} ({measure}): the gain is {size}.{faint}"
    more = settling_words(settles)
    return f"Maps may or may not beat {control} ({measure}): the gain is {size}. {more}"


def _statistics(
    measure: Measure, roles: Roles, found: Lead, picture: Array, unit: str
) -> list[Statistic]:
    """The gain over each control; first the one that decides."""
    ours, tests = measure.values[roles.audited], len(found.whole)
    return [
        statistic(
            f"gain in {measure.name} over {control}",
            flipped(gain, ours - measure.values[control], picture, found.zone.none, tests),
            found.zone,
            visible_difference(ours - measure.values[control], picture, gain.level),
            f"sign flips of {unit}s, times {tests} controls, the null being no gain",
        )
        for control, gain in found.shown.items()
    ]


def _figure(
    index: int, reference: Reference, maps: dict[str, Array], roles: Roles, control: str
) -> PairFigure:
    return pair_figure(
        reference,
        index,
        f"{reference.ids[index]}: the audited map and {control}",
        f"A pair on which {control}, which never looks at the model, does best in comparison.",
        [(roles.audited, maps[roles.audited][index]), (control, maps[control][index])],
    )


def _table(measure: Measure, roles: Roles, found: Lead) -> TableFigure:
    names = dict.fromkeys((roles.audited, *others(roles, measure.values), *found.whole))
    rows = [
        [
            name,
            number(float(np.nanmean(measure.values[name]))),
            interval_words(found.shown[name]) if name in found.whole else DASH,
        ]
        for name in names
    ]
    return TableFigure(
        title=f"Mean {measure.name} beside maps that never look at the model",
        caption="Localization is chance-corrected: its mean is the gain over the object's area. "
        "Faithfulness is a share of the model's own full minus empty score.",
        columns=["explainer", f"mean {measure.name}", f"gain of {roles.audited}"],
        rows=rows,
    )


CHECK = Check(
    id="P206",
    name="beats-model-free",
    title="Are the maps better than those that never look at the model?",
    failure_title="Maps that never look at the model are as good",
    severity=Severity.WARNING,
    reference="Adebayo et al. 2018 (arXiv 1810.03292); intersection-union test: Berger 1982",
    judge=judge,
)
