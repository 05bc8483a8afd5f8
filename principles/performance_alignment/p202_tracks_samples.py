"""P202 tracks-samples.

What it does: Asks whether the maps are better on the pairs about which the model is right than on
those about which it is wrong. It is right about a pair if the pair's class outranks every class
that the picture does not show. The statistic is the area under the ROC curve of map quality for
correctness, with an interval by bootstrap over pictures, of which five with a right pair and five
with a wrong one are the least. Localization
decides where there are masks, faithfulness where there are none or where the controls do not let
localization speak: a faithful control must pass, no model-free one may. A measure speaks only if
two halves of the pictures agree about the means of the explainers, and two fills about the order of
the pairs (localization of a pair has no such second value).

Why it matters: A user sees the map of one prediction at a time. If maps are as good on wrong
answers as on right ones, a good map is no reason to trust an answer.

How to fix it: Look at the wrong pairs whose maps are good, in the table of pairs: the method finds
the object without the model's score. Explain the score of the pair's own target, with its sign, and
leave out whatever marks objects for every target, such as attention or norms alone.

What a pass does not show: That maps cause or reveal the mistakes: large objects may be easier both
to classify and to localize, which the model-free controls test only in part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import Explanations, Faithfulness, Reference, Roles
from audit.result.figures import Point, ScatterFigure, Series, TableFigure
from audit.result.finding import Finding, Severity, Verdict
from audit.result.wording import counted, number
from audit.statistics.estimate import Estimate
from audit.statistics.power import pairs_needed, smallest_visible_effect
from audit.statistics.proportions import auroc_permutation, auroc_with_interval
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import interval_words, witness
from principles.limits import AtMostOne, CheckLimits, Count, ErrorRate, Share
from principles.performance_alignment.estimates import (
    CONTROL_LEVEL,
    ERROR_RATE,
    Measure,
    Reading,
    combined,
    controls_fail,
    judged,
    level_for,
    measures,
    pair_margin,
    reasons,
    resamples_for,
    statistic,
    vote,
)
from principles.performance_alignment.reliability import (
    RELIABILITY,
    Reliability,
    over_explainers,
    over_fills,
)
from principles.performance_alignment.settling import (
    pairs_for_controls,
    settled_at,
    settling_words,
    whole,
)

RESAMPLES = 2000
_TEST = "permutations of correctness between pictures, the null being no relation"


@dataclass(frozen=True)
class Limits(CheckLimits):
    """What an area under the ROC curve is judged by."""

    area: Share = 0.5
    least_of_each: Count = 5
    worthwhile_area: Share = 0.6
    reliability: AtMostOne = RELIABILITY
    error_rate: ErrorRate = ERROR_RATE


def judge(
    explanations: Explanations,
    faithfulness: Faithfulness,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where nothing of the interval lies above the threshold."""
    measured = measures(explanations, faithfulness, roles)
    return combined([_reading(m, reference, roles, limits) for m in measured])


def _reading(measure: Measure, reference: Reference, roles: Roles, limits: Limits) -> Reading:
    correct = pair_margin(reference)[measure.pairs] > 0
    picture = reference.cluster[measure.pairs]
    rate = limits.error_rate
    wanted = pairs_wanted(correct, limits.worthwhile_area, rate)
    least = limits.least_of_each
    fewest = min(len(np.unique(picture[side])) for side in (correct, ~correct))
    if fewest < least:
        return _too_few(measure.name, correct, fewest, least, wanted)
    threshold = limits.area
    values = measure.values
    areas = {
        n: area(values[n], correct, picture, level_for(n, roles, limits.error_rate))
        for n in judged(roles, values)
    }
    ours, verdict = areas[roles.audited], vote(areas[roles.audited], threshold)
    p = auroc_permutation(
        values[roles.audited], correct, clusters=picture, rng=np.random.default_rng(0)
    )
    reliable = _reliability(measure, roles, picture, limits.reliability)
    settles = settled_at(
        ours,
        threshold,
        len(reference.ids),
        pairs_for_controls(areas, roles, threshold, len(reference.ids)),
        *(r.pairs_needed for r in reliable),
    )
    wanted = f"{wanted} {settling_words(settles)}"
    unreliable = next((r.why for r in reliable if r.why), "")
    why = reasons(
        controls_fail(areas, roles, threshold, "tells right pairs from wrong ones"), unreliable
    )
    name = f"area of {measure.name} for correctness"
    smallest = smallest_visible_effect(
        "auroc", len(np.unique(picture)), base=float(correct.mean()), alpha=rate
    )
    return Reading(
        may_speak=not why,
        verdict=verdict,
        sentence=_sentence(measure.name, ours, verdict, correct, why, wanted),
        statistics=[
            statistic(name, replace(ours, p=p), threshold, smallest, _TEST),
            *(r.statistic for r in reliable),
        ],
        figures=[_scatter(measure, reference, roles, correct), _table(measure, areas, correct)],
        witness=witness(roles, "P202", reference.ids[_worst(measure, roles, correct)], alone=False),
        pairs_to_settle=whole(settles),
        more_pairs_help=math.isfinite(settles),
    )


def _too_few(measure: str, correct: Array, fewest: int, least: int, wanted: str) -> Reading:
    """Where the model is right, or wrong, about fewer pictures than it takes."""
    sentence = (
        f"By {measure} nothing can be said: the model is wrong about "
        f"{counted(int((~correct).sum()), 'pair')} of {len(correct)}, {least} pictures with a "
        f"right pair and {least} with a wrong one are the least. {wanted}"
    )
    return Reading(
        may_speak=False,
        verdict=Verdict.INCONCLUSIVE,
        sentence=sentence,
        pairs_to_settle=math.ceil(len(correct) * least / max(fewest, 0.5)),
    )


def _reliability(measure: Measure, roles: Roles, picture: Array, least: float) -> list[Reliability]:
    fills = over_fills(measure, roles, picture, least)
    return [over_explainers(measure, roles, picture, least), *([fills] if fills else [])]


def area(quality: Array, correct: Array, picture: Array, level: float = CONTROL_LEVEL) -> Estimate:
    """Probability that a right pair has the better map than a wrong one."""
    rng = np.random.default_rng(0)
    return auroc_with_interval(
        quality,
        correct,
        clusters=picture,
        rng=rng,
        resamples=resamples_for(RESAMPLES, level),
        level=level,
    )


def needed_pairs(correct: Array, worthwhile: float, rate: float) -> int | None:
    """Pairs that show an area worth seeing, none wrong counting as half a pair."""
    wrong, n = int((~correct).sum()), len(correct)
    share = 1 - min(max(wrong, 0.5), n - 0.5) / n
    return pairs_needed(worthwhile - 0.5, "auroc", base=share, alpha=rate)


def pairs_wanted(correct: Array, worthwhile: float, rate: float = ERROR_RATE) -> str:
    """How many pairs would show an area worth seeing, at this share of wrong ones."""
    wrong, n = int((~correct).sum()), len(correct)
    needed = needed_pairs(correct, worthwhile, rate)
    if needed is None:
        return f"No number of pairs in reach would show an area of {number(worthwhile)}."
    bound = "about" if 0 < wrong < n else "more than"
    return (
        f"An area of {number(worthwhile)} would need {bound} {needed:,} pairs at this share of "
        "wrong ones."
    )


def _sentence(
    measure: str, ours: Estimate, verdict: Verdict, correct: Array, why: str, wanted: str
) -> str:
    sizes = f"{int(correct.sum())} right and {int((~correct).sum())} wrong pairs"
    if why:
        return (
            f"By {measure} nothing can be said: {why}; the audited maps have "
            f"{interval_words(ours)}, over {sizes}. {wanted}"
        )
    verb = {Verdict.PASS: "are", Verdict.VIOLATION: "are not"}.get(verdict, "may or may not be")
    more = f" {wanted}" if verdict is Verdict.INCONCLUSIVE else ""
    return (
        f"Maps {verb} better ({measure}) where the model is right: area under the ROC curve "
        f"{interval_words(ours)}, over {sizes}.{more}"
    )


def _worst(measure: Measure, roles: Roles, correct: Array) -> int:
    """The right pair with the worst map."""
    quality = np.where(correct, measure.values[roles.audited], math.inf)
    return int(measure.pairs[int(quality.argmin())])


def _scatter(measure: Measure, reference: Reference, roles: Roles, correct: Array) -> ScatterFigure:
    margin = pair_margin(reference)[measure.pairs]
    quality = measure.values[roles.audited]
    series = [
        Series(
            name=name,
            points=[
                Point(
                    x=float(margin[i]), y=float(quality[i]), label=reference.ids[measure.pairs[i]]
                )
                for i in np.flatnonzero(chosen)
            ],
        )
        for name, chosen in (("right", correct), ("wrong", ~correct))
    ]
    return ScatterFigure(
        title=f"Map quality by {measure.name} and the model's margin",
        caption="Each point is a pair. The margin is the score of the pair's class minus that of "
        "the strongest class that the picture does not show; the model is right above zero.",
        x_label="margin of the pair's class",
        y_label=measure.name,
        series=series,
    )


def _table(measure: Measure, areas: dict[str, Estimate], correct: Array) -> TableFigure:
    rows = [
        [
            name,
            number(float(np.nanmean(measure.values[name][correct]))),
            number(float(np.nanmean(measure.values[name][~correct]))),
            interval_words(estimate),
        ]
        for name, estimate in areas.items()
    ]
    return TableFigure(
        title=f"Mean {measure.name} on right and wrong pairs",
        caption="An area of 0.5 means that quality does not tell right pairs from wrong ones.",
        columns=["explainer", "right", "wrong", "area under the ROC curve"],
        rows=rows,
    )


CHECK = Check(
    id="P202",
    name="tracks-samples",
    title="Are maps better where the model is right than where it is wrong?",
    failure_title="Maps are not better where the model is right",
    severity=Severity.WARNING,
    reference="Cui and Fan 2026, principle 2 (arXiv 2605.12952); area under the ROC curve: Hanley "
    "and McNeil 1982",
    judge=judge,
)
