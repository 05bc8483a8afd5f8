"""P204 no-better-map-from-a-worse-model.

What it does: Treats what the explainer executes as a model of its own: asks it for the scores of
every picture with every class and measures how well it classifies, against the model on the same
pictures. If it classifies worse, its maps should be worse too: they are compared, pair by pair,
with those of the same method without the modification, or, where no such twin is declared, with
what the maps of a faithful control have on the ladder at that accuracy. Localization decides where
there are masks, faithfulness where there are none or where two halves of the pictures do not agree
about the explainers' localization.

Why it matters: A prettier map from a worse model is the signature of an explanation that has come
loose from the model. It should be a warning, and is often sold as success.

How to fix it: Look first at P104 and P105: what the explainer executes answers worse than the
model does, so its score is another model's. Compute maps from the model's own forward pass. Do not
tune the explainer for prettier or better localized maps at the cost of the model's accuracy.

What a pass does not show: That the executed model is the model under audit; that is P104 and P105.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import (
    Executed,
    Explanations,
    Faithfulness,
    Ladder,
    Reference,
    Roles,
    RungFaithfulness,
)
from audit.result.figures import TableFigure
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Interval, Statistic
from audit.result.wording import DASH, number, percent
from audit.statistics.estimate import Estimate
from audit.statistics.power import visible_distance
from audit.statistics.proportions import paired_proportion_difference
from principles.check import Check
from principles.finding_parts import finite, interval_words
from principles.limits import AtMostOne, CheckLimits, ErrorRate, Share
from principles.performance_alignment.estimates import (
    ERROR_RATE,
    Measure,
    Reading,
    combined,
    measures,
)
from principles.performance_alignment.gains import gains_over
from principles.performance_alignment.reliability import RELIABILITY, over_explainers
from principles.performance_alignment.rung_quality import RungQuality, rung_measures
from principles.performance_alignment.settling import whole

_MCNEMAR = "McNemar's exact test, the null being equal accuracy"
_FLIPS = "sign flips of pictures, the null being equal quality"


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
) -> Finding:
    """Violated where the executed model is worse and its maps are not."""
    if executed.how == "none":
        summary = "The explainer exposes no score, so what it executes cannot be asked to classify."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    if float(executed.model_correct.mean()) < 2 * reference.chance:
        summary = (
            f"The unmodified model is right on {percent(executed.model_correct.mean())} of the "
            f"pictures, chance is {percent(reference.chance)}: nothing can get worse."
        )
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    level = 1 - limits.error_rate
    drop = paired_proportion_difference(executed.correct, executed.model_correct, level)
    if (executed.correct == executed.model_correct).all():
        drop = replace(drop, p=None)  # they never disagree: there is nothing to test
    statistics = [_statistic("executed minus model accuracy", drop, 0.0, _MCNEMAR)]
    words = _accuracy_words(executed, drop)
    negligible = limits.negligible_drop
    if executed.how == "model" or drop.above(-negligible) or not drop.below(0.0):
        return _not_worse(executed, drop, words, statistics, negligible)
    asked = {"ladder": ladder, "rung_faithfulness": rung_faithfulness}
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
    readings = [
        _reading(one, rungs.get(one.name), executed, reference, roles, words, limits)
        for one in measured
    ]
    found = combined([r for r in readings if r.statistics])
    if not found.statistics:
        summary = f"{words} There is no measure of quality here to compare the maps by."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)
    figures = [_table(executed, measured, roles)]
    return found.model_copy(
        update={"statistics": [*statistics, *found.statistics], "figures": figures}
    )


def _reading(
    measure: Measure,
    rungs: RungQuality | None,
    executed: Executed,
    reference: Reference,
    roles: Roles,
    words: str,
    limits: Limits,
) -> Reading:
    """What a measure says of the maps, of an executed model that is worse."""
    negligible = limits.negligible_quality
    level = 1 - limits.error_rate
    gains = gains_over(
        measure, rungs, executed, reference, roles, level=level, negligible=negligible
    )
    if not gains:
        return Reading(may_speak=False, verdict=Verdict.INCONCLUSIVE, sentence=words)
    picture = reference.picture[measure.pairs]
    reliable = over_explainers(measure, roles, picture, limits.reliability)
    votes = [gain.verdict(negligible) for gain in gains]
    verdict = next(v for v in (Verdict.VIOLATION, Verdict.INCONCLUSIVE, Verdict.PASS) if v in votes)
    gain = gains[votes.index(verdict)]
    verb = gain.words[verdict]
    if reliable.why:
        verb = f"cannot be compared, since {reliable.why};"
    return Reading(
        may_speak=not reliable.why,
        verdict=verdict,
        sentence=f"{words} Its maps ({measure.name}) {verb} quality minus {gain.of} is "
        f"{interval_words(gain.size)}.",
        statistics=[
            *(
                _statistic(f"{measure.name} minus {one.of}", one.size, one.bar(negligible), _FLIPS)
                for one in gains
            ),
            reliable.statistic,
        ],
        pairs_to_settle=whole(reliable.pairs_needed) if reliable.why else None,
        more_pairs_help=math.isfinite(reliable.pairs_needed),
    )


def _not_worse(
    executed: Executed,
    drop: Estimate,
    words: str,
    statistics: list[Statistic],
    negligible: float,
) -> Finding:
    if executed.how == "model":
        summary = (
            "What the explainer executes is the model: it is right on "
            f"{percent(executed.model_correct.mean())} of {len(executed.correct)} pictures."
        )
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=statistics)
    if drop.above(-negligible):
        return Finding(verdict=Verdict.PASS, summary=words, statistics=statistics)
    summary = f"{words} More pictures are needed to tell."
    return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)


def _accuracy_words(executed: Executed, drop: Estimate) -> str:
    return (
        f"What the explainer executes is right on {percent(executed.correct.mean())} of "
        f"{len(executed.correct)} pictures, the model on {percent(executed.model_correct.mean())} "
        f"(difference {interval_words(drop)})."
    )


def _statistic(name: str, e: Estimate, threshold: float, test: str) -> Statistic:
    return Statistic(
        name=name,
        value=finite(e.value),
        interval=Interval(low=finite(e.low), high=finite(e.high), level=e.level),
        threshold=threshold,
        n=e.n,
        smallest_visible_effect=finite(visible_distance(e.low, e.high, e.level)),
        p=e.p,
        p_test="" if e.p is None else test,
    )


def _table(executed: Executed, found: Sequence[Measure], roles: Roles) -> TableFigure:
    rows = [
        [
            name,
            percent(share),
            *(number(float(np.nanmean(m.values[key]))) if key in m.values else DASH for m in found),
        ]
        for name, share, key in (
            ("as executed", executed.correct.mean(), roles.audited),
            ("the model, faithful twin", executed.model_correct.mean(), roles.twin or ""),
        )
    ]
    return TableFigure(
        title="Accuracy and map quality of what is executed and of the model",
        caption="Zero-shot top-1 of a present class; localization is mean chance-corrected average "
        "precision, faithfulness a mean share of the model's own full minus empty score.",
        columns=["", "accuracy", *(m.name for m in found)],
        rows=rows,
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
