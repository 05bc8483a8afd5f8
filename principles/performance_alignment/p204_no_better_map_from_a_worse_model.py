"""P204 no-better-map-from-a-worse-model.

What it does: Treats what the explainer executes as a model of its own: asks it for the scores of
every picture with every class and measures how well it classifies, against the model on the same
pictures. If it classifies worse, its maps should be worse too: they are compared, pair by pair,
with those of the same method without the modification, or, where no such twin is declared, with
what the maps of a faithful control have on the ladder at that accuracy. Accuracies are compared on
200 pictures or more, and localization with the twin's on ten times as many pairs as the audit has,
where the executed model is worse. Localization decides where there are masks, faithfulness where
there are none or where two halves of the pictures do not agree about the explainers' localization.

Why it matters: A prettier map from a worse model is the signature of an explanation that has come
loose from the model. It should be a warning, and is often sold as success.

How to fix it: Look first at P104 and P105: what the explainer executes answers worse than the
model does, so its score is another model's. Compute maps from the model's own forward pass. Do not
tune the explainer for prettier or better localized maps at the cost of the model's accuracy.

What a pass does not show: That the executed model is the model under audit; that is P104 and P105.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from audit.evidence.kinds import (
    Executed,
    Explanations,
    Faithfulness,
    Ladder,
    Reference,
    Roles,
    RungFaithfulness,
    TwinMaps,
)
from audit.result.finding import Finding, Severity, Verdict
from principles.check import Check
from principles.finding_parts import interval_words
from principles.indifference import ERROR_RATE, level_of
from principles.limits import AtMostOne, CheckLimits, ErrorRate, Share
from principles.performance_alignment import quality_remedies as remedies
from principles.performance_alignment.estimates import Measure, Reading, combined, measures
from principles.performance_alignment.executed_accuracy import accuracy_drop, nothing_to_judge
from principles.performance_alignment.executed_tables import (
    accuracy_words,
    drop_statistic,
    executed_table,
    gain_statistic,
    with_the_drop,
)
from principles.performance_alignment.gains import Gain, gain_over
from principles.performance_alignment.reliability import RELIABILITY, over_explainers
from principles.performance_alignment.rung_quality import RungQuality, rung_measures
from principles.performance_alignment.settling import whole


@dataclass(frozen=True)
class Limits(CheckLimits):
    """What a drop of accuracy and a gain in quality are judged by."""

    negligible_drop: Share = 0.02
    negligible_quality: Share = 0.02
    reliability: AtMostOne = RELIABILITY
    error_rate: ErrorRate = ERROR_RATE


def judge(
    executed: Executed,
    explanations: Explanations,
    faithfulness: Faithfulness,
    reference: Reference,
    roles: Roles,
    limits: Limits,
    ladder: Ladder | None = None,
    rung_faithfulness: RungFaithfulness | None = None,
    twin_maps: TwinMaps | None = None,
) -> Finding:
    """Violated where the executed model is worse and its maps are better."""
    if nothing := nothing_to_judge(executed, reference):
        return nothing
    level, negligible = level_of(limits.error_rate), limits.negligible_drop
    drop = accuracy_drop(executed, reference, level)
    statistics = [drop_statistic(drop, negligible)]
    words = accuracy_words(executed, drop)
    if executed.how == "model" or drop.above(-negligible):
        same = "What the explainer executes is the model: " if executed.how == "model" else ""
        return Finding(verdict=Verdict.PASS, summary=f"{same}{words}", statistics=statistics)
    if not drop.below(0.0):
        summary = f"{words} More pictures are needed to tell."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)
    asked: dict[str, object] = {"ladder": ladder, "rung_faithfulness": rung_faithfulness}
    if roles.twin is not None:
        asked = {"twin_maps": twin_maps}
    if wants := [kind for kind, there in asked.items() if there is None]:
        return Finding(
            verdict=Verdict.INCONCLUSIVE,
            summary=words,
            statistics=statistics,
            wants=wants,
            more_pairs_help=False,
        )
    measured = measures(explanations, faithfulness, roles)
    rungs = rung_measures(ladder, rung_faithfulness, reference)
    compared = partial(gain_over, twin_maps=twin_maps)
    readings = [
        _reading(one, rungs.get(one.name), executed, reference, roles, words, limits, compared)
        for one in measured
    ]
    found = combined([r for r in readings if r.statistics])
    if not found.statistics:
        summary = f"{words} There is no measure of quality here to compare the maps by."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)
    found = with_the_drop(found, drop, statistics, negligible)
    return found.model_copy(update={"figures": [executed_table(executed, measured, roles)]})


def _reading(
    measure: Measure,
    rungs: RungQuality | None,
    executed: Executed,
    reference: Reference,
    roles: Roles,
    words: str,
    limits: Limits,
    compared: Callable[..., Gain | None],
) -> Reading:
    """What a measure says of the maps, of an executed model that is worse."""
    level, negligible = level_of(limits.error_rate), limits.negligible_quality
    gain = compared(measure, rungs, executed, reference, roles, level=level, negligible=negligible)
    if gain is None:
        return Reading(may_speak=False, verdict=Verdict.INCONCLUSIVE, sentence=words)
    picture = reference.cluster[measure.pairs]
    unit = reference.cluster_name
    reliable = over_explainers(measure, roles, picture, limits.reliability, unit)
    verb = gain.words[gain.verdict]
    if reliable.why:
        verb = f"cannot be compared, since {reliable.why};"
    return Reading(
        may_speak=not reliable.why,
        verdict=gain.verdict,
        sentence=f"{words} Its maps ({measure.name}) {verb} quality minus {gain.of} is "
        f"{interval_words(gain.size)}.",
        statistics=[gain_statistic(f"{measure.name} minus {gain.of}", gain), reliable.statistic],
        pairs_to_settle=whole(reliable.pairs_needed) if reliable.why else None,
        more_pairs_help=math.isfinite(reliable.pairs_needed),
        remedy=remedies.of_worse_model(
            float(executed.correct.mean()), float(executed.model_correct.mean())
        ),
    )


CHECK = Check(
    id="P204",
    name="no-better-map-from-a-worse-model",
    title="Does a worse executed model come with worse maps?",
    failure_title="A worse model is executed and its maps are not worse",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 2 (arXiv 2605.12952)",
    judge=judge,
)
