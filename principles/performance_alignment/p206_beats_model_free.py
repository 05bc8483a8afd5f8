"""P206 beats-model-free.

What it does: Compares the quality of the maps, pair by pair, with that of maps that never look at
the model: a center prior, an edge detector and a random map. It passes if the maps beat each of
them, and is violated if one of them is at least as good; the intervals, by bootstrap over pictures,
share the error rate between the controls. Localization decides where there are masks, faithfulness
where there are none or where no faithful control beats the model-free ones by localization. A
measure speaks only if two halves of the pictures (each with its own fill, of faithfulness) agree
about the means of the explainers.

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
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import interval_words, pair_figure, witness
from principles.limits import AtMostOne, CheckLimits, ErrorRate, Number
from principles.performance_alignment.estimates import (
    ERROR_RATE,
    Measure,
    Reading,
    combined,
    flipped,
    measures,
    others,
    reasons,
    resamples_for,
    statistic,
    visible_difference,
    vote,
)
from principles.performance_alignment.reliability import RELIABILITY, over_explainers
from principles.performance_alignment.settling import (
    pairs_to_settle,
    settled_at,
    settling_words,
    whole,
)

RESAMPLES = 2000
_SHOWN = 2
Gains = dict[str, Estimate]


@dataclass(frozen=True)
class Limits(CheckLimits):
    """What a gain over model-free maps is judged by."""

    gain: Number = 0.0
    reliability: AtMostOne = RELIABILITY
    error_rate: ErrorRate = ERROR_RATE


def judge(
    explanations: Explanations,
    faithfulness: Faithfulness,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where nothing of an interval lies above the threshold."""
    measured = measures(explanations, faithfulness, roles)
    return combined([_reading(m, reference, roles, explanations.maps, limits) for m in measured])


def _reading(
    measure: Measure,
    reference: Reference,
    roles: Roles,
    maps: dict[str, Array],
    limits: Limits,
) -> Reading:
    threshold = limits.gain
    cluster, unit = reference.cluster[measure.pairs], reference.cluster_name
    faithful = {n: gains(measure, roles, n, cluster) for n in others(roles, measure.values)}
    found = gains(measure, roles, roles.audited, cluster, limits.error_rate)
    reliable = over_explainers(measure, roles, cluster, limits.reliability, unit)
    why = reasons(_cannot_speak(faithful, threshold), reliable.why)
    best = deciding(found, threshold)
    verdict = verdict_of(found, threshold)
    difference = measure.values[roles.audited] - measure.values[best]
    more = pairs_to_settle(found[best], threshold, difference, cluster)
    settles = settled_at(
        found[best],
        threshold,
        len(reference.ids),
        _pairs_for_controls(faithful, threshold, len(reference.ids)),
        reliable.pairs_needed,
    )
    shown = np.argsort(difference, kind="stable")[:_SHOWN]
    chosen = [int(i) for i in measure.pairs[shown]]
    return Reading(
        may_speak=not why,
        verdict=verdict,
        sentence=_sentence(measure.name, best, found[best], verdict, why, more, settles, unit),
        statistics=[
            *_statistics(measure, roles, found, cluster, threshold, best, unit),
            reliable.statistic,
        ],
        figures=[
            *(_figure(i, reference, maps, roles, best) for i in chosen),
            _table(measure, roles, found),
        ],
        witness=witness(roles, "P206", reference.ids[chosen[0]], alone=False),
        pairs_to_settle=whole(settles),
        more_pairs_help=math.isfinite(settles),
    )


def gains(
    measure: Measure, roles: Roles, name: str, cluster: Array, rate: float = ERROR_RATE
) -> Gains:
    """What an explainer's maps have over each model-free control, at a shared error rate."""
    controls = [n for n in roles.negative if n in measure.values]
    level = 1 - rate / max(len(controls), 1)
    ours = measure.values[name]
    return {
        control: bootstrap_interval(
            ours - measure.values[control],
            clusters=cluster,
            rng=np.random.default_rng(0),
            resamples=resamples_for(RESAMPLES, level),
            level=level,
        )
        for control in controls
    }


def deciding(found: Gains, threshold: float) -> str:
    """The control by which the verdict goes.

    The one that beats the maps most clearly where one does, and else the one that they beat least
    clearly, or not at all.
    """
    if verdict_of(found, threshold) is Verdict.VIOLATION:
        return min(found, key=lambda control: found[control].high)
    return min(found, key=lambda control: found[control].low)


def verdict_of(found: Gains, threshold: float) -> Verdict:
    """PASS above every control, VIOLATION not above some."""
    votes = {vote(gain, threshold) for gain in found.values()}
    if Verdict.VIOLATION in votes:
        return Verdict.VIOLATION
    return Verdict.PASS if votes == {Verdict.PASS} else Verdict.INCONCLUSIVE


def _cannot_speak(faithful: dict[str, Gains], threshold: float) -> str:
    if not faithful or any(verdict_of(g, threshold) is Verdict.PASS for g in faithful.values()):
        return ""
    name, found = next(iter(faithful.items()))
    control = deciding(found, threshold)
    return (
        f"no faithful control beats the model-free ones ({name} against {control}: "
        f"{interval_words(found[control])})"
    )


def _pairs_for_controls(faithful: dict[str, Gains], threshold: float, pairs: int) -> float:
    """Pairs at which a faithful control would beat the model-free ones, by what it shows now."""
    if not _cannot_speak(faithful, threshold):
        return pairs
    return min(
        max(
            settled_at(gain, threshold, pairs) if gain.value > threshold else math.inf
            for gain in found.values()
        )
        for found in faithful.values()
    )


def _sentence(
    measure: str,
    control: str,
    ours: Estimate,
    verdict: Verdict,
    why: str,
    more: str,
    settles: float,
    unit: str,
) -> str:
    size = f"{interval_words(ours)}, n = {counted(ours.n, unit)}"
    if why:
        return (
            f"By {measure} nothing can be said: {why}; the audited maps have a gain over {control} "
            f"of {size}. {settling_words(settles)}"
        )
    if verdict is Verdict.PASS:
        return f"Maps beat every model-free control ({measure}): the gain over {control} is {size}."
    if verdict is Verdict.VIOLATION:
        return f"Maps are no better than {control} ({measure}): the gain is {size}."
    return f"Maps may or may not beat {control} ({measure}): the gain is {size}; {more}."


def _statistics(
    measure: Measure,
    roles: Roles,
    found: Gains,
    cluster: Array,
    threshold: float,
    best: str,
    unit: str,
) -> list[Statistic]:
    """The gain over each control; first the one that decides."""
    ours = measure.values[roles.audited]
    return [
        statistic(
            f"gain in {measure.name} over {control}",
            flipped(gain, ours - measure.values[control], cluster, threshold, len(found)),
            threshold,
            visible_difference(ours - measure.values[control], cluster, gain.level),
            f"sign flips of {unit}s, times {len(found)} controls, the null being no gain",
        )
        for control, gain in sorted(found.items(), key=lambda item: (item[0] != best, item[1].low))
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


def _table(measure: Measure, roles: Roles, found: Gains) -> TableFigure:
    names = dict.fromkeys((roles.audited, *others(roles, measure.values), *found))
    rows = [
        [
            name,
            number(float(np.nanmean(measure.values[name]))),
            interval_words(found[name]) if name in found else DASH,
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
