"""The pictures of P201: map quality against accuracy, a point for each model."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Roles
from audit.result.figures import Point, ScatterFigure, Series
from audit.result.numbers import Interval
from principles.finding_parts import finite, listed
from principles.performance_alignment.rung_quality import RungQuality

_KINDS = {
    "unmodified": "the unmodified model",
    "weight-noise": "weight noise",
    "random-blocks": "random topmost blocks",
    "interpolation": "interpolation to random weights",
    "removed-heads": "removed attention heads",
    "checkpoint": "a checkpoint",
}


def ladder_figure(measure: RungQuality, roles: Roles) -> ScatterFigure:
    """Quality against accuracy over the ladder, of the audited explainer and its controls."""
    kinds = listed((_KINDS[rung.family] for rung in measure.rungs), most=len(_KINDS))
    return _figure(
        measure,
        roles,
        f"Map quality by {measure.name} against accuracy",
        f"Each point is a rung of the ladder: {kinds}.",
    )


def other_models_figure(measure: RungQuality, roles: Roles) -> ScatterFigure:
    """The same over other models, which no verdict counts."""
    return _figure(
        measure,
        roles,
        f"Other models: map quality by {measure.name} against accuracy",
        "Each point is a model: the one under audit, or one given beside it. Shown, not judged: "
        "across architectures no law says that the more accurate model has the better maps.",
    )


def _figure(measure: RungQuality, roles: Roles, title: str, caption: str) -> ScatterFigure:
    shown = [roles.audited, *roles.positive[:1], *roles.negative]
    series = [
        Series(
            name=name,
            points=_points(measure, name),
            control=name != roles.audited,
        )
        for name in dict.fromkeys(shown)
        if name in measure.values
    ]
    return ScatterFigure(
        title=title,
        caption=f"{caption} Bars are 95 % intervals over pictures.",
        x_label="accuracy",
        y_label=measure.name,
        series=series,
    )


def _points(measure: RungQuality, name: str) -> list[Point]:
    rng = np.random.default_rng(0)
    accuracy = measure.correct.mean(1)
    center = measure.of(name)[0]
    resampled = measure.of(name, _pair_weights(measure.picture, rng))
    known = np.flatnonzero(np.isfinite(center))
    low, high = np.nanquantile(resampled[:, known], (0.025, 0.975), axis=0)
    return [
        Point(
            x=float(accuracy[i]),
            y=float(center[i]),
            y_interval=Interval(low=finite(low[at]), high=finite(high[at])),
            label=measure.rungs[i].name,
        )
        for at, i in enumerate(known)
    ]


def _pair_weights(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap weights of pairs, drawn by picture."""
    distinct, index = np.unique(picture, return_inverse=True)
    drawn = rng.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), size=400)
    return drawn[:, index].astype(float)
