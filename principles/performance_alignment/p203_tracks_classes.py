"""P203 tracks-classes.

What it does: Takes the share of right pairs and the mean map quality of each class, and asks
whether the classes that the model knows better have the better maps: rank correlation over classes,
with the quality of the model-free maps and the area of the objects held fixed, since classes that
are seen easily are known better and have edges on them as well. Accuracies are those of many pairs,
measured by forward passes alone; maps are drawn for a few pairs of each of many classes, which are
spread over the accuracies. Where the data name their classes in other words too, as the bundled
ones do in words of which the bundled model has read one or none, a class in other words counts as
one more: its pictures are the same. The least correlation that counts is lowered by what noise of
accuracies and qualities leaves of one. Localization decides where there are masks, faithfulness of
the audit's own pairs where there are none or where the controls do not let localization speak: a
faithful control must pass, no model-free one may, and two halves of the pictures must agree how far
the explainers lie apart.

Why it matters: Teams look at maps class by class to find what the model has not learned. That works
only if maps are poor where the model is.

How to fix it: Look at the classes that the model does not know and whose maps are good all the
same: there the method finds the object without the model. Explain the score of the class that is
asked for, and leave out whatever marks objects of any class, such as attention or norms alone.

What a pass does not show: That maps of single pictures can be trusted (P202), nor that it is this
model that they ask: what reads the same words and no other follows its accuracy as well (P107).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import ClassPairs, Faithfulness, Performance, Reference, Roles
from audit.result.finding import Finding, Severity, Verdict, Witness
from audit.statistics.partial_correlation import held_fixed, partial_permutation
from audit.statistics.power import smallest_visible_effect
from principles.check import Check
from principles.finding_parts import witness
from principles.indifference import Zone, ZoneLimits
from principles.limits import AtMostOne, Correlation, Count
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment.class_correlation import clear_of, correlation_of
from principles.performance_alignment.class_figures import (
    class_scatter,
    class_sentence,
    class_table,
    unexpected_classes,
)
from principles.performance_alignment.classes import Classes, class_tables
from principles.performance_alignment.estimates import (
    Reading,
    combined,
    controls_fail,
    judged,
    level_for,
    reasons,
    statistic,
)
from principles.performance_alignment.reliability import RELIABILITY, over_explainers, over_fills
from principles.performance_alignment.settling import pairs_for_controls, settled_at, whole

_TEST = "permutations of the classes, the null being no relation"
_DOES = "follows accuracy over classes"


@dataclass(frozen=True)
class Limits(ZoneLimits):
    """What a correlation over classes is judged by."""

    none: Correlation = 0.0
    clear: Correlation = 0.5
    least_pairs: Count = 3
    least_classes: Count = 8
    reliability: AtMostOne = RELIABILITY


def judge(
    class_pairs: ClassPairs,
    faithfulness: Faithfulness,
    performance: Performance,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where the interval lies below the least that counts, as far as noise leaves it."""
    tables = class_tables(
        class_pairs, faithfulness, performance, reference, roles, limits.least_pairs
    )
    return combined([_reading(table, reference, roles, limits) for table in tables])


def _reading(classes: Classes, reference: Reference, roles: Roles, limits: Limits) -> Reading:
    measure = classes.measure
    if lack := classes.lack(limits.least_pairs, limits.least_classes):
        return Reading(
            may_speak=False,
            verdict=Verdict.INCONCLUSIVE,
            sentence=f"By {measure.name} nothing can be said: {lack}",
            more_pairs_help=False,
        )
    zone = Zone(limits.none, clear_of(classes, roles, limits.none, limits.clear))
    found = {
        n: correlation_of(classes, n, roles, level_for(n, roles, limits.error_rate))
        for n in judged(roles, measure.values)
    }
    ours = found[roles.audited]
    gates = [over_explainers(measure, roles, classes.cluster, limits.reliability)]
    if (fills := over_fills(measure, roles, classes.cluster, limits.reliability)) is not None:
        gates.append(fills)
    why = reasons(
        controls_fail(found, roles, zone, _DOES), next((g.why for g in gates if g.why), "")
    )
    pairs = len(reference.ids)
    gate = max(pairs_for_controls(found, roles, zone, pairs), *(g.pairs_needed for g in gates))
    settles = settled_at(ours, zone, pairs, gate)
    if settles * len(classes.names) > classes.available * pairs:
        settles = float("inf")  # the data have no more classes
    given = classes.given(roles.audited, roles)
    p = partial_permutation(
        classes.quality(roles.audited), classes.accuracy, given, rng=np.random.default_rng(0)
    )
    name = f"rank correlation of {measure.name} with accuracy over classes"
    smallest = smallest_visible_effect(
        "correlation", ours.n - held_fixed(given), alpha=1 - ours.level
    )
    worst = classes.by_excess(roles.audited)[0]
    return Reading(
        may_speak=not why,
        verdict=zone.decide(ours),
        sentence=class_sentence(classes, ours, zone, why, settles),
        statistics=[
            statistic(name, replace(ours, p=p), zone, smallest, _TEST),
            *(gate.statistic for gate in gates),
        ],
        figures=[
            class_scatter(classes, roles),
            unexpected_classes(classes, roles),
            class_table(measure.name, found),
        ],
        witness=_witness(classes, worst, reference, roles),
        pairs_to_settle=whole(settles),
        more_pairs_help=whole(settles) is not None,
        remedy=remedies.of_classes(
            classes.names[worst],
            float(classes.accuracy[worst]),
            float(classes.quality(roles.audited)[worst]),
        ),
    )


def _witness(classes: Classes, worst: int, reference: Reference, roles: Roles) -> Witness:
    """A pair of the audit's own that shows the class, whatever it is called there."""
    shown = np.flatnonzero(reference.labels == classes.labels[worst])
    pair = reference.ids[int(shown[0])] if len(shown) else reference.ids[0]
    return witness(roles, "P203", pair, alone=False)


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
