"""P204 no-better-map-from-a-worse-model.

What it does: Treats what the explainer executes as a model of its own: asks it for the scores of
every picture with every class and measures how well it classifies, against the model on the same
pictures. If it classifies worse, its maps should be worse too: they are compared, pair by pair,
with those of the same method without the modification, or, where no such twin is declared, with
what the explainer's own ladder predicts for that accuracy.

Why it matters: A prettier map from a worse model is the signature of an explanation that has come
loose from the model. It should be a warning, and is often sold as success.

What a pass does not show: That the executed model is the model under audit; that is P104 and P105.
"""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Evidence, Executed, Ladder, Reference, Roles
from audit.result import Finding, Interval, Severity, Statistic, TableFigure, Verdict
from audit.statistics.estimate import Estimate
from audit.statistics.ladder import rung_quality
from audit.statistics.paired import paired_difference
from audit.statistics.power import visible_distance
from audit.statistics.proportions import paired_proportion_difference
from principles.check import Check, Thresholds
from principles.performance_alignment.estimates import ERROR_RATE, resamples_for
from principles.words import finite, interval_words, number, percent


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where the executed model is worse and its maps are not."""
    executed, reference, roles = evidence.executed, evidence.reference, evidence.roles
    assert executed is not None and reference is not None  # noqa: S101, PT018 - declared in needs
    if executed.how == "none":
        summary = "The explainer exposes no score, so what it executes cannot be asked to classify."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    if float(executed.model_correct.mean()) < 2 * reference.chance:
        summary = (
            f"The unmodified model is right on {percent(executed.model_correct.mean())} of the "
            f"pictures, chance is {percent(reference.chance)}: nothing can get worse."
        )
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    level = 1 - float(thresholds["error_rate"])
    drop = paired_proportion_difference(executed.correct, executed.model_correct, level)
    statistics = [_statistic("executed minus model accuracy", drop, 0.0)]
    words = _accuracy_words(executed, drop)
    if executed.how == "model" or not drop.below(0.0):
        return _not_worse(executed, drop, words, statistics, float(thresholds["negligible_drop"]))
    gains = _quality(evidence, level)
    if not gains:
        summary = f"{words} There is no measure of quality here to compare the maps by."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)
    statistics += [_statistic(f"map quality minus {name}", gain, 0.0) for name, gain in gains]
    votes = [_vote(gain, float(thresholds["negligible_quality"])) for _, gain in gains]
    verdict = next(v for v in (Verdict.VIOLATION, Verdict.INCONCLUSIVE, Verdict.PASS) if v in votes)
    name, gain = gains[votes.index(verdict)]
    verb = {
        Verdict.PASS: "are worse too:",
        Verdict.VIOLATION: "are nevertheless not worse:",
        Verdict.INCONCLUSIVE: "may or may not be worse:",
    }[verdict]
    return Finding(
        verdict=verdict,
        summary=f"{words} Its maps {verb} quality minus {name} is {interval_words(gain)}.",
        statistics=statistics,
        figures=[_table(executed, evidence.explanations, roles)]
        if evidence.explanations is not None
        else [],
    )


def _vote(gain: Estimate, negligible: float) -> Verdict:
    if gain.below(0.0):
        return Verdict.PASS
    return Verdict.VIOLATION if gain.above(-negligible) else Verdict.INCONCLUSIVE


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


def _quality(evidence: Evidence, level: float) -> list[tuple[str, Estimate]]:
    """Quality of the audited maps against the twin's, and against the ladder's prediction.

    A gain over the ladder's prediction counts only where there is no twin, or where it is wholly
    above zero: the prediction is an interpolation, the twin a measurement.
    """
    explanations, reference = evidence.explanations, evidence.reference
    roles, ladder, executed = evidence.roles, evidence.ladder, evidence.executed
    assert explanations is not None and reference is not None and executed is not None  # noqa: S101, PT018
    if not explanations.localization:
        return []
    ours = explanations.localization[roles.audited]["average precision"]
    gains = []
    if roles.twin is not None:
        theirs = explanations.localization[roles.twin]["average precision"]
        rng = np.random.default_rng(0)
        gain = paired_difference(ours, theirs, clusters=reference.picture, rng=rng, level=level)
        gains.append((f"that of its faithful twin ({roles.twin})", gain))
    if ladder is not None:
        base = roles.twin or roles.audited
        above = _above_ladder(ours, ladder.localization[base], ladder, reference, executed, level)
        if not gains or above.above(0.0):
            gains.append((f"what the ladder of {base} has at that accuracy", above))
    return gains


def _above_ladder(
    ours: np.ndarray,
    rungs: np.ndarray,
    ladder: Ladder,
    reference: Reference,
    executed: Executed,
    level: float,
) -> Estimate:
    """Quality minus what a ladder has at the executed accuracy, resampled by picture."""
    rng = np.random.default_rng(0)
    distinct, index = np.unique(reference.picture, return_inverse=True)
    draws = rng.multinomial(
        len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples_for(1000, level)
    )
    weights = np.concatenate([np.ones((1, len(distinct))), draws.astype(float)])
    quality = rung_quality(rungs, None, weights[:, index])
    own = rung_quality(ours[None], None, weights[:, index])[:, 0]
    accuracy = weights @ ladder.correct.T / weights.sum(1, keepdims=True)
    here = weights @ executed.correct / weights.sum(1)
    gains = own - np.array(
        [np.interp(x, *_rising(a, q)) for x, a, q in zip(here, accuracy, quality, strict=True)]
    )
    low, high = np.quantile(gains[1:], ((1 - level) / 2, (1 + level) / 2))
    return Estimate(float(gains[0]), float(low), float(high), level, len(distinct))


def _rising(accuracy: np.ndarray, quality: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(accuracy, kind="stable")
    return accuracy[order], quality[order]


def _accuracy_words(executed: Executed, drop: Estimate) -> str:
    return (
        f"What the explainer executes is right on {percent(executed.correct.mean())} of "
        f"{len(executed.correct)} pictures, the model on {percent(executed.model_correct.mean())} "
        f"(difference {interval_words(drop)})."
    )


def _statistic(name: str, e: Estimate, threshold: float) -> Statistic:
    return Statistic(
        name=name,
        value=e.value,
        interval=Interval(low=e.low, high=e.high, level=e.level),
        threshold=threshold,
        n=e.n,
        smallest_visible_effect=finite(visible_distance(e.low, e.high, e.level)),
    )


def _table(executed: Executed, explanations: object, roles: Roles) -> TableFigure:
    localization = getattr(explanations, "localization", {})
    rows = [
        [
            name,
            percent(share),
            number(float(np.nanmean(localization[key]["average precision"])))
            if key in localization
            else "–",
        ]
        for name, share, key in (
            ("as executed", executed.correct.mean(), roles.audited),
            ("the model, faithful twin", executed.model_correct.mean(), roles.twin or ""),
        )
    ]
    return TableFigure(
        title="Accuracy and map quality of what is executed and of the model",
        caption="Zero-shot top-1 of a present class; mean chance-corrected average precision.",
        columns=["", "accuracy", "localization"],
        rows=rows,
    )


CHECK = Check(
    id="P204",
    name="no-better-map-from-a-worse-model",
    title="Does a worse executed model come with worse maps?",
    failure_title="A worse model is executed and its maps are not worse",
    severity=Severity.ERROR,
    needs=frozenset({"executed", "reference", "explanations", "ladder"}),
    thresholds={"negligible_drop": 0.02, "negligible_quality": 0.02, "error_rate": ERROR_RATE},
    reference="Cui and Fan 2026, principle 2 (arXiv 2605.12952)",
    judge=judge,
)
