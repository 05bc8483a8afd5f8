"""P107 depends-on-model.

What it does: Draws all parameters of the model anew (class token, positions, every projection and
norm included), from the readout of the image tower down to its embedding and then the text tower,
and compares the maps with those of the unmodified model by absolute rank correlation. The map
survives where its likeness at the end lies, with its whole interval over pictures, above both a
half and what the explainer's maps of different pictures share, or where it has not changed at all.
Every parameter must have been reached, a faithful control must change, and the explainer must
agree with itself on an equal copy; else nothing is said.

Why it matters: A map that a model of random numbers gets as well shows nothing that this model has
learned: it is a property of the picture, like an edge detector's.

What a pass does not show: That the map is right, or that it depends on the right parts of the
model. Inverted maps and noise that is seeded by the weights pass too.
"""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Evidence, Randomization, Reference, Roles
from audit.result.schema import (
    Finding,
    Interval,
    PairFigure,
    Point,
    ScatterFigure,
    Series,
    Severity,
    Statistic,
    Verdict,
)
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from principles.check import Check, Thresholds
from principles.finding_parts import finite, number, pair_figure, percent, plural, witness

_UNCHANGED = 1e-3


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where the map survives full randomization."""
    found, reference, roles = evidence.randomization, evidence.reference, evidence.roles
    assert found is not None and reference is not None  # noqa: S101, PT018 - declared in needs
    reached = float(found.reached.min())
    if reached < 1:
        summary = f"Expected every parameter to be drawn anew, reached {percent(reached)} of them."
        return Finding(verdict=Verdict.ERROR, summary=summary)
    limit = _limit(found, thresholds)
    final = _likeness(found, reference, roles.audited, -1)
    verdict, summary = _verdict(found, reference, roles, limit, final)
    if verdict is Verdict.VIOLATION and roles.random_weights:
        verdict = Verdict.INCONCLUSIVE
        summary = (
            "The weights of the model are random, as asked for, and drawn anew they are random "
            f"again: {_words(final, limit)}. Audit a trained model."
        )
    violated = verdict is Verdict.VIOLATION
    row = int(found.similarity[roles.audited][-1].mean(0).argmax())
    pair = reference.ids[int(found.pairs[row])]
    return Finding(
        verdict=verdict,
        summary=summary,
        statistics=[_statistic(final, limit)],
        samples=[pair] if violated else [],
        figures=[_curve(found, reference, roles, limit), _maps_figure(found, reference, row)],
        witness=witness(roles, "P107", pair) if violated else None,
    )


def _limit(found: Randomization, thresholds: Thresholds) -> float:
    """What unrelated maps of this explainer share, at least a half; a shared prior is no excuse."""
    unrelated = np.concatenate([found.unrelated, found.chance])
    band = float(np.quantile(unrelated, 0.975)) if len(unrelated) else 0.0
    least, most = float(thresholds["survives"]), float(thresholds["survives_outright"])
    return float(np.clip(band, least, most))


def _likeness(found: Randomization, reference: Reference, name: str, stage: int) -> Estimate:
    return bootstrap_interval(
        found.similarity[name][stage].mean(0),
        clusters=reference.picture[found.pairs],
        rng=np.random.default_rng(0),
    )


def _verdict(
    found: Randomization, reference: Reference, roles: Roles, limit: float, final: Estimate
) -> tuple[Verdict, str]:
    words = _words(final, limit)
    if bool((found.change <= _UNCHANGED).all()):
        return Verdict.VIOLATION, (
            "The map survives: with every parameter of the model drawn anew it is the same map."
        )
    if not np.isfinite(final.low):
        return Verdict.INCONCLUSIVE, f"One picture allows no verdict, audit more pairs: {words}."
    for name in set(found.similarity) - {roles.audited}:
        control = _likeness(found, reference, name, -1)
        if not control.value < limit:
            return Verdict.INCONCLUSIVE, (
                f"The faithful control {name} survives full randomization as well (likeness "
                f"{number(control.value)}): this model and data allow no verdict."
            )
    if final.above(limit):
        return Verdict.VIOLATION, f"The map survives full randomization of the model: {words}."
    itself = _likeness(found, reference, roles.audited, 0)
    if not itself.low > max(limit, final.high):
        return Verdict.INCONCLUSIVE, (
            f"Two runs on the same model agree no better (likeness {number(itself.value)}) than "
            "runs on different ones may: the explainer's own randomness hides the answer."
        )
    verdict, does = Verdict.INCONCLUSIVE, "may or may not"
    if final.below(limit):
        verdict, does = Verdict.PASS, "does not"
    return verdict, f"The map {does} survive full randomization of the model: {words}."


def _words(final: Estimate, limit: float) -> str:
    interval = f"95 % interval {number(final.low)} to {number(final.high)}"
    if not np.isfinite(final.low):
        interval = "too few pictures for an interval"
    return (
        f"likeness to the map on the unmodified model {number(final.value)} ({interval}, limit "
        f"{number(limit)}, {plural(final.n, 'picture')})"
    )


def _statistic(final: Estimate, limit: float) -> Statistic:
    return Statistic(
        name="likeness of the maps after full randomization",
        value=finite(final.value),
        interval=Interval(low=finite(final.low), high=finite(final.high), level=final.level),
        threshold=limit,
        good_side="below",
        n=final.n,
    )


def _curve(found: Randomization, reference: Reference, roles: Roles, limit: float) -> ScatterFigure:
    series = [
        Series(
            name=name,
            points=[_point(found, reference, name, i) for i in range(len(found.stages))],
            line=True,
            control=name != roles.audited,
        )
        for name in found.similarity
    ]
    band = {"limit": limit}
    if len(found.unrelated):
        band["maps of different pictures"] = float(found.unrelated.mean())
    for name, value in band.items():
        ends = [Point(x=float(i), y=value) for i in (0, len(found.stages) - 1)]
        series.append(Series(name=name, points=ends, line=True, control=True))
    return ScatterFigure(
        title="Likeness of the maps while the model is drawn anew",
        caption="Absolute rank correlation with the map on the unmodified model, mean over pairs "
        f"and draws, with 95 % intervals over pictures. Stages: {', '.join(found.stages)}.",
        x_label="stage of the cascade",
        y_label="likeness",
        series=series,
    )


def _point(found: Randomization, reference: Reference, name: str, stage: int) -> Point:
    value = _likeness(found, reference, name, stage)
    return Point(
        x=float(stage),
        y=value.value,
        y_interval=Interval(low=finite(value.low), high=finite(value.high)),
        label=found.stages[stage],
    )


def _maps_figure(found: Randomization, reference: Reference, row: int) -> PairFigure:
    return pair_figure(
        reference,
        int(found.pairs[row]),
        "The map of the model, and of random numbers",
        "The pair whose map changes least when every parameter is drawn anew.",
        [("unmodified model", found.maps[row]), ("all drawn anew", found.final_maps[row])],
    )


CHECK = Check(
    id="P107",
    name="depends-on-model",
    title="Does the map change when all parameters of the model are drawn anew?",
    failure_title="The map survives full randomization of the model",
    severity=Severity.ERROR,
    needs=frozenset({"randomization", "reference"}),
    thresholds={"survives": 0.5, "survives_outright": 0.9},
    reference="Adebayo et al. 2018 (arXiv 1810.03292), cascading randomization",
    judge=judge,
)
