"""P202 tracks-samples.

What it does: Asks whether the maps are better on the pairs about which the model is right than on
those about which it is wrong. It is right about a pair if the pair's class outranks every class
that the picture does not show. The model's margin is measured on many pairs, and maps are drawn for
up to four times as many as the audit has, in equal numbers from ten quantile bins of the margin,
five on either side of zero. The statistic is the area under the ROC curve of map quality for
correctness, with the quality of the model-free maps and the area of the object held fixed (by
rank), since where objects are large and clear the model is right and edges lie on them as well. It
has to lead what every model-free map reaches on the same pairs, each adjusted for all the others,
and 0.5; one that is audited itself leads itself by nothing. Intervals are by bootstrap over
pictures. Localization decides where there are masks, faithfulness of the audit's own pairs where
there are none. A measure accuses only if a faithful control passes, and lets nothing pass where
every faithful control is refuted; it speaks only if two halves of the pictures agree about the
means of the explainers, and, of faithfulness, two fills about the order of the pairs. Where too few
of the many pairs are right, or wrong, no maps are drawn.

Why it matters: A user sees the map of one prediction at a time. If maps are as good on wrong
answers as on right ones, a good map is no reason to trust an answer.

How to fix it: Look at the wrong pairs whose maps are good, in the table of pairs: the method finds
the object without the model's score. Explain the score of the pair's own target, with its sign, and
leave out whatever marks objects for every target, such as attention or norms alone.

What a pass does not show: That maps cause or reveal the mistakes. What makes a picture easy, and is
seen by no model-free map, may make both the model right and the map good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from audit.evidence.kinds import ChosenPairs, Faithfulness, Performance, Reference, Roles
from audit.result.finding import Finding, Severity, Verdict
from audit.statistics.proportions import auroc_permutation
from principles.check import Check
from principles.finding_parts import witness
from principles.indifference import Zone, ZoneLimits
from principles.limits import AtMostOne, Count, Share
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment import sample_figures as figures
from principles.performance_alignment.estimates import (
    CONTROL_RATE,
    Reading,
    combined,
    judged,
    others,
    reasons,
    statistic,
)
from principles.performance_alignment.reliability import RELIABILITY, over_explainers, over_fills
from principles.performance_alignment.rivals import pairs_for, why_not_believed
from principles.performance_alignment.sample_leads import CHANCE, area_under_curve, leads
from principles.performance_alignment.sample_tables import SampleTable, sample_tables
from principles.performance_alignment.settling import whole

_DOES = "tells right pairs from wrong ones"
_TEST = "permutations of correctness between pictures, the null being no relation"


@dataclass(frozen=True)
class Limits(ZoneLimits):
    """What an area under the ROC curve is judged by, where model-free maps have the area none."""

    none: Share = 0.5
    clear: Share = 0.6  # of a rank correlation of 0.2: tests.benchmarks.least_tracking
    least_of_each: Count = 5
    reliability: AtMostOne = RELIABILITY

    @property
    def zone(self) -> Zone:
        """Of the lead over what model-free maps reach."""
        return Zone(0.0, self.clear - self.none)


def judge(
    performance: Performance,
    chosen_pairs: ChosenPairs,
    faithfulness: Faithfulness,
    reference: Reference,
    roles: Roles,
    limits: Limits,
) -> Finding:
    """Violated where a lead lies below the least that counts with its whole interval."""
    if performance.lack and reference.masks is not None:
        summary = f"By localization nothing can be said: {performance.lack}"
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, more_pairs_help=False)
    tables = sample_tables(chosen_pairs, faithfulness, reference, roles)
    return combined([_reading(t, len(reference.ids), roles, limits) for t in tables])


def _reading(table: SampleTable, pairs: int, roles: Roles, limits: Limits) -> Reading:
    measure, least = table.measure, limits.least_of_each
    if table.fewest() < least:
        return figures.too_few(table, least)
    lead = partial(leads, table, roles=roles, none=limits.none, zone=limits.zone)
    faithful = {n: lead(n, rate=CONTROL_RATE) for n in others(roles, measure.values)}
    found = lead(roles.audited, rate=limits.error_rate)
    reliable = [over_explainers(measure, roles, table.cluster, limits.reliability)]
    if (fills := over_fills(measure, roles, table.cluster, limits.reliability)) is not None:
        reliable.append(fills)
    unreliable = next((r.why for r in reliable if r.why), "")
    why = reasons(why_not_believed(found, faithful, _DOES), unreliable)
    settles = max(pairs_for(found, faithful, pairs), *(r.pairs_needed for r in reliable))
    adjusted = {
        n: table.adjusted(n, roles, roles.audited if n in roles.negative else "")
        for n in judged(roles, measure.values)
    }
    areas = {n: area_under_curve(v, table.right) for n, v in adjusted.items()}
    p = auroc_permutation(
        adjusted[roles.audited], table.right, clusters=table.cluster, rng=np.random.default_rng(0)
    )
    return Reading(
        may_speak=not why,
        verdict=found.verdict,
        sentence=figures.sample_sentence(table, found, areas[roles.audited], why, settles),
        statistics=[
            *(
                statistic(
                    f"lead of the adjusted area of {measure.name} over {rival}",
                    replace(estimate, p=p if rival == CHANCE else None),
                    limits.zone,
                    test=_TEST,
                )
                for rival, estimate in found.shown.items()
            ),
            *(r.statistic for r in reliable),
        ],
        figures=[
            figures.curve(table, roles),
            figures.areas(table, roles, areas, found.shown),
        ],
        witness=witness(roles, "P202", table.ids[_worst(table, roles)], alone=False),
        pairs_to_settle=whole(settles),
        more_pairs_help=math.isfinite(settles),
        remedy=_remedy(table, roles),
    )


def _remedy(table: SampleTable, roles: Roles) -> str:
    """What to do, by the wrong pair with the best map."""
    quality = table.measure.values[roles.audited]
    best = int(np.where(table.right, -math.inf, quality).argmax())
    return remedies.of_samples(table.ids[best], float(quality[best]))


def _worst(table: SampleTable, roles: Roles) -> int:
    """The right pair with the worst map."""
    return int(np.where(table.right, table.measure.values[roles.audited], math.inf).argmin())


CHECK = Check(
    id="P202",
    name="tracks-samples",
    title="Are maps better where the model is right than where it is wrong?",
    failure_title="Maps are not better where the model is right",
    severity=Severity.WARNING,
    reference="Cui and Fan 2026, principle 2 (arXiv 2605.12952); covariate-adjusted ROC curves: "
    "Janes and Pepe 2009",
    judge=judge,
)
