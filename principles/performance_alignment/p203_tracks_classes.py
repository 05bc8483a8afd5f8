"""P203 tracks-classes.

What it does: Takes the share of right pairs and the mean map quality of each class, and asks
whether the classes that the model knows better have the better maps: Spearman correlation over the
classes with enough pairs, with its interval. Accuracies are those of many pairs, measured by
forward passes alone; the least correlation that counts is lowered by what noise of accuracies and
qualities leaves of one. Localization decides where there are masks,
faithfulness where there are none or where the controls do not let localization speak: a faithful
control must pass, no model-free one may, and two halves of the pictures (each with its own fill, of
faithfulness) must agree about the order of the classes by a faithful control's maps. It also tells
how reliable the accuracies of the classes are: noise of counting hides a relation.

Why it matters: Teams look at maps class by class to find what the model has not learned. That works
only if maps are poor where the model is.

How to fix it: Look at the classes that the model does not know and whose maps are good all the
same: there the method finds the object without the model. Explain the score of the class that is
asked for, and leave out whatever marks objects of any class, such as attention or norms alone.

What a pass does not show: That maps of single pictures can be trusted (P202), or that the relation
is not one of object size, which the model-free controls test only in part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import Explanations, Faithfulness, Performance, Reference, Roles
from audit.result.figures import Point, ScatterFigure, Series, TableFigure
from audit.result.finding import Finding, Severity, Verdict
from audit.result.wording import percent
from audit.statistics.correlation import reliability_of_shares, spearman_interval
from audit.statistics.estimate import Estimate
from audit.statistics.paired import spearman_permutation
from audit.statistics.power import smallest_visible_effect
from audit.trace.records import Array
from principles.check import Check
from principles.finding_parts import interval_words, witness
from principles.indifference import Zone, ZoneLimits
from principles.limits import AtMostOne, Correlation, Count
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment.classes import (
    LEAST_RELIABILITY,
    Classes,
    attenuated,
    by_class,
    pairs_for_classes,
    pairs_for_correlation,
    pairs_wanted,
    settling_words,
)
from principles.performance_alignment.estimates import (
    Measure,
    Reading,
    combined,
    controls_fail,
    judged,
    level_for,
    measures,
    others,
    reasons,
    statistic,
)
from principles.performance_alignment.reliability import RELIABILITY, Reliability, over_classes
from principles.performance_alignment.settling import pairs_for_controls, whole

_TEST = "permutations of the classes, the null being no relation"


@dataclass(frozen=True)
class Limits(ZoneLimits):
    """What a correlation over classes is judged by."""

    none: Correlation = 0.0
    clear: Correlation = 0.5
    least_pairs: Count = 3
    least_classes: Count = 8
    reliability: AtMostOne = RELIABILITY


def judge(
    explanations: Explanations,
    faithfulness: Faithfulness,
    performance: Performance,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where the interval lies below the least that counts, as far as noise leaves it."""
    many = performance.labels, performance.margins > 0
    if not len(performance.labels):
        many = reference.labels, reference.margins > 0
    measured = measures(explanations, faithfulness, roles)
    return combined([_reading(m, many, reference, roles, limits) for m in measured])


def _reading(
    measure: Measure,
    many: tuple[Array, Array],
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Reading:
    labels = reference.labels[measure.pairs]
    classes = by_class(labels, measure.values, limits.least_pairs, *many)
    lack = _lack(classes, labels, limits)
    if lack:
        sentence = f"By {measure.name} nothing can be said: {lack}"
        needed, verdict = _pairs_for(classes, labels, limits), Verdict.INCONCLUSIVE
        return Reading(
            may_speak=False,
            verdict=verdict,
            sentence=sentence,
            pairs_to_settle=needed,
            more_pairs_help=needed is not None,
        )
    rate, quality = limits.error_rate, classes.quality
    picture, least = reference.cluster[measure.pairs], limits.reliability
    controls = others(roles, quality) or [roles.audited]
    reliable = over_classes(measure, classes, labels, picture, controls, least)
    accuracies = reliability_of_shares(classes.right, classes.pairs)
    zone = Zone(limits.none, _clear(limits, (accuracies, reliable.value)))
    found = {
        n: _correlation(quality[n], classes.accuracy, level_for(n, roles, limits.error_rate))
        for n in judged(roles, quality)
    }
    ours, verdict = found[roles.audited], zone.decide(found[roles.audited])
    rng = np.random.default_rng(0)
    p = spearman_permutation(quality[roles.audited], classes.accuracy, rng=rng).p
    tested = replace(ours, p=p if p is not None and np.isfinite(p) else None)
    own = over_classes(measure, classes, labels, picture, [roles.audited], least)
    why = reasons(controls_fail(found, roles, zone, "follows accuracy over classes"), reliable.why)
    name = f"rank correlation of {measure.name} with accuracy over classes"
    smallest = smallest_visible_effect("correlation", ours.n, alpha=2 * rate)
    gate = max(reliable.pairs_needed, pairs_for_controls(found, roles, zone, own.pairs))
    settles, wanted = _settling(classes, ours, own, gate, 2 * rate)
    worst = _worst(classes, roles)
    index = int(classes.index[worst])
    first = int(np.flatnonzero(labels == index)[0])
    mend = remedies.of_classes(
        reference.classes[index],
        float(classes.accuracy[worst]),
        float(quality[roles.audited][worst]),
    )
    return Reading(
        may_speak=not why,
        verdict=verdict,
        sentence=_sentence(measure.name, ours, zone, why, wanted),
        statistics=[statistic(name, tested, zone, smallest, _TEST), reliable.statistic],
        figures=[_scatter(measure.name, classes, reference, roles), _table(measure.name, found)],
        witness=witness(roles, "P203", reference.ids[measure.pairs[first]], alone=False),
        pairs_to_settle=settles,
        more_pairs_help=settles is not None,
        remedy=mend,
    )


def _clear(limits: Limits, reliable: tuple[float, float]) -> float:
    """The least correlation that counts, as far as noise of accuracies and qualities leaves it."""
    return limits.none + attenuated(limits.clear - limits.none, reliable)


def _settling(
    classes: Classes, ours: Estimate, own: Reliability, gate: float, rate: float
) -> tuple[int | None, str]:
    """Pairs that would settle a correlation of the size seen, and that in words.

    Args:
        classes: that were compared.
        ours: the correlation of the audited maps.
        own: reliability of their quality.
        gate: pairs at which the measure would let the check speak.
        rate: two-sided error rate.
    """
    accuracies = reliability_of_shares(classes.right, classes.pairs)
    parts = [x if math.isfinite(x) else 0.0 for x in (accuracies, own.value)]
    times = pairs_for_correlation(ours.value, parts, ours.n, rate)
    pairs = own.pairs
    needed = whole(max(times * pairs, gate, pairs + 1))
    at_least = min(parts) <= LEAST_RELIABILITY
    words = settling_words(ours.value, needed, ours.n, rate, at_least=at_least)
    return needed, f"{pairs_wanted(classes)} {words}"


def _pairs_for(classes: Classes, labels: Array, limits: Limits) -> int | None:
    """Pairs that would give enough classes, or some that are not always right."""
    if len(classes.index) < limits.least_classes:
        each, least = limits.least_pairs, limits.least_classes
        return pairs_for_classes(labels, each, least)[0]
    return len(labels) + 1


def _lack(classes: Classes, labels: Array, limits: Limits) -> str:
    """Why there is nothing to correlate, and what it would take; empty where there is."""
    n, least = len(classes.index), limits.least_classes
    if n < least:
        each = limits.least_pairs
        more = pairs_for_classes(labels, each, least)[1]
        return f"classes with at least {each} pairs number {n}, {least} are the least. {more}"
    if np.ptp(classes.accuracy) == 0:
        same = percent(float(classes.accuracy[0]))
        return f"the accuracy of every class is {same}. {pairs_wanted(classes)}"
    return ""


def _correlation(quality: Array, accuracy: Array, level: float) -> Estimate:
    """The correlation; none at all for maps whose quality is the same in every class."""
    if np.ptp(quality) == 0:
        return Estimate(0.0, 0.0, 0.0, level, len(quality))
    return spearman_interval(quality, accuracy, level=level)


def _sentence(measure: str, ours: Estimate, zone: Zone, why: str, wanted: str) -> str:
    verdict = zone.decide(ours)
    if why:
        return (
            f"By {measure} nothing can be said: {why}; the audited maps have "
            f"{interval_words(ours)}, over {ours.n} classes. {wanted}"
        )
    verb = {Verdict.PASS: "follows", Verdict.VIOLATION: "does not follow"}.get(
        verdict, "may or may not follow"
    )
    more = f" {wanted}" if verdict is Verdict.INCONCLUSIVE else ""
    return (
        f"Map quality ({measure}) {verb} accuracy over classes: rank correlation "
        f"{interval_words(ours)}, n = {ours.n} classes.{zone.faint_words(ours)}{more}"
    )


def _worst(classes: Classes, roles: Roles) -> int:
    """Which of the classes has the best maps compared with its accuracy."""
    quality = classes.quality[roles.audited]
    excess = quality.argsort().argsort() - classes.accuracy.argsort(kind="stable").argsort()
    return int(excess.argmax())


def _scatter(measure: str, classes: Classes, reference: Reference, roles: Roles) -> ScatterFigure:
    shown = dict.fromkeys((roles.audited, *roles.positive[:1]))
    series = [
        Series(
            name=name,
            points=[
                Point(x=float(x), y=float(y), label=reference.classes[int(c)])
                for c, x, y in zip(
                    classes.index, classes.accuracy, classes.quality[name], strict=True
                )
            ],
            control=name != roles.audited,
        )
        for name in shown
        if name in classes.quality
    ]
    return ScatterFigure(
        title=f"Map quality by {measure} against accuracy, class by class",
        caption="Each point is a class: the share of its pairs about which the model is right, and "
        "the mean quality of their maps.",
        x_label="share of right pairs",
        y_label=measure,
        series=series,
    )


def _table(measure: str, found: dict[str, Estimate]) -> TableFigure:
    return TableFigure(
        title=f"Rank correlation of {measure} with accuracy over classes",
        caption="Controls beside the audited explainer.",
        columns=["explainer", "rank correlation"],
        rows=[[name, interval_words(estimate)] for name, estimate in found.items()],
    )


CHECK = Check(
    id="P203",
    name="tracks-classes",
    title="Do the classes that the model knows better have the better maps?",
    failure_title="Map quality does not follow accuracy over classes",
    severity=Severity.WARNING,
    reference="Cui and Fan 2026, principle 2 (arXiv 2605.12952); interval: Fieller, Hartley and "
    "Pearson 1957",
    judge=judge,
)
