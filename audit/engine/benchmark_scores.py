"""Quality of several explainers on the same pairs: means, paired differences, ranks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.engine.trend import mean_quality
from audit.result.numbers import Interval
from audit.result.schema import Result
from audit.statistics.estimate import Estimate
from audit.statistics.paired import paired_difference


@dataclass(frozen=True)
class Score:
    """One explainer by one measure.

    Attributes:
        name: of the explainer.
        mean: over its pairs.
        interval: of the mean, 95 %.
        behind: the best one's quality minus its own on the same pairs; None for the best itself.
        best_rank: 1 plus the number of explainers that are better with a whole interval.
        worst_rank: the number of those that it is not better than with a whole interval, itself
            among them.
    """

    name: str
    mean: float
    interval: Interval | None
    behind: Estimate | None
    best_rank: int
    worst_rank: int

    @property
    def ranks(self) -> str:
        """Which places it may have."""
        one, other = self.best_rank, self.worst_rank
        return str(one) if one == other else f"{one}–{other}"


def scores_by_measure(results: Mapping[str, Result]) -> dict[str, tuple[Score, ...]]:
    """The explainers by each measure that two of them have, best first.

    Intervals of differences are of 95 % each, by bootstrap over pictures or sets of grids, and not
    adjusted for the number of comparisons.

    Args:
        results: by the explainer's name, all on the same model and data.
    """
    pairs = [pair for result in results.values() for pair in result.pair_quality]
    measures = dict.fromkeys(measure for pair in pairs for measure in pair.values)
    return {measure: scores for measure in measures if len(scores := _scores(results, measure)) > 1}


def _scores(results: Mapping[str, Result], measure: str) -> tuple[Score, ...]:
    found = {name: mean_quality(result, measure) for name, result in results.items()}
    means = {name: one for name, one in found.items() if one is not None}
    order = sorted(means, key=lambda name: -means[name][0])
    better = {
        (one, other): _difference(results[one], results[other], measure)
        for place, one in enumerate(order)
        for other in order[place + 1 :]
    }

    def leads(one: str, other: str) -> bool:
        ours, theirs = better.get((one, other)), better.get((other, one))
        return bool((ours and ours.low > 0) or (theirs and theirs.high < 0))

    return tuple(
        Score(
            name=name,
            mean=means[name][0],
            interval=means[name][1],
            behind=better.get((order[0], name)),
            best_rank=1 + sum(leads(other, name) for other in order),
            worst_rank=len(order) - sum(leads(name, other) for other in order),
        )
        for name in order
    )


def _difference(one: Result, other: Result, measure: str) -> Estimate | None:
    """Quality of one minus that of another on the pairs that both have; None for one cluster."""
    theirs = {pair.pair: pair.values.get(measure) for pair in other.pair_quality}
    rows: Sequence[tuple[float, float, int]] = [
        (ours, their, pair.cluster)
        for pair in one.pair_quality
        if (ours := pair.values.get(measure)) is not None
        and (their := theirs.get(pair.pair)) is not None
    ]
    if len({cluster for *_, cluster in rows}) < 2:
        return None
    table = np.array(rows, dtype=np.float64)
    return paired_difference(
        table[:, 0], table[:, 1], clusters=table[:, 2], rng=np.random.default_rng(0)
    )
