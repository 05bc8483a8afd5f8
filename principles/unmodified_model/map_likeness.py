"""How alike the maps stay while the model is drawn anew, as estimates and pictures: P107."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Randomization, Reference, Roles
from audit.result.figures import Figure, PairFigure, Point, ScatterFigure, Series
from audit.result.numbers import Interval, Statistic
from audit.result.wording import counted, number
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from principles.finding_parts import finite, pair_figure
from principles.indifference import Zone


def of_stage(
    found: Randomization, reference: Reference, name: str, stage: int, level: float = 0.95
) -> Estimate:
    """Likeness at a stage of the cascade, with its interval over pictures, or sets of grids."""
    return bootstrap_interval(
        found.similarity[name][stage].mean(0),
        clusters=reference.cluster[found.pairs],
        rng=np.random.default_rng(0),
        level=level,
    )


def survival_limit(found: Randomization, survives: float, outright: float) -> float:
    """What unrelated maps of this explainer share, within bounds; a shared prior is no excuse."""
    unrelated = np.concatenate([found.unrelated, found.chance])
    band = float(np.quantile(unrelated, 0.975)) if len(unrelated) else 0.0
    return float(np.clip(band, survives, outright))


def words(final: Estimate, zone: Zone, unit: str = "picture") -> str:
    """The likeness at the end, its interval and its limit, the middle of the zone."""
    interval = f"{100 * final.level:.3g} % interval {number(final.low)} to {number(final.high)}"
    if not np.isfinite(final.low):
        interval = f"too few {unit}s for an interval"
    return (
        f"likeness to the map on the unmodified model {number(final.value)} ({interval}, limit "
        f"{number(-zone.middle)} ± {number((zone.clear - zone.none) / 2)}, "
        f"{counted(final.n, unit)})"
    )


def statistic(final: Estimate, zone: Zone) -> Statistic:
    """The likeness at the end, beside its zone, which is that of its negative."""
    return Statistic(
        name="likeness of the maps after full randomization",
        value=finite(final.value),
        interval=Interval(low=finite(final.low), high=finite(final.high), level=final.level),
        threshold=-zone.end(-final.value),
        good_side="below",
        none=-zone.none,
        clear=-zone.clear,
        n=final.n,
    )


def figures(
    found: Randomization, reference: Reference, roles: Roles, limit: float, row: int
) -> list[Figure]:
    """Likeness over the stages, and the map of one pair before and after all is drawn anew."""
    return [_curve(found, reference, roles, limit), _maps(found, reference, row)]


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
    value = of_stage(found, reference, name, stage)
    return Point(
        x=float(stage),
        y=value.value,
        y_interval=Interval(low=finite(value.low), high=finite(value.high)),
        label=found.stages[stage],
    )


def _maps(found: Randomization, reference: Reference, row: int) -> PairFigure:
    """The map of one pair before and after every parameter is drawn anew."""
    return pair_figure(
        reference,
        int(found.pairs[row]),
        "The map of the model, and of random numbers",
        "The pair whose map changes least when every parameter is drawn anew.",
        [("unmodified model", found.maps[row]), ("all drawn anew", found.final_maps[row])],
    )
