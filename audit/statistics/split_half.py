"""How far a quality metric repeats its own order of things: split-half reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import stats

from audit.statistics.estimate import Estimate
from audit.statistics.ladder_trend import centered_correlation
from audit.statistics.rung_means import rung_quality

FEWEST_UNITS, _FEWEST_CONDITIONS = 4, 3


@dataclass(frozen=True)
class Measurement:
    """A quality per unit and condition, NaN where there is none.

    Attributes:
        values: of each unit (pair) in each condition (rung, class or explainer).
        denominator: makes a condition's mean a ratio of sums, as of normalized faithfulness.
    """

    values: Shaped[np.ndarray, "units conditions"]
    denominator: Shaped[np.ndarray, "units conditions"] | None = None

    def means(self, weights: Float[np.ndarray, "b units"]) -> Float[np.ndarray, "b conditions"]:
        """Mean of each condition under rows of weights, NaN where it has no unit."""
        below = None if self.denominator is None else np.asarray(self.denominator).T
        return rung_quality(np.asarray(self.values).T, below, weights)


def split_half_reliability(
    values: Shaped[np.ndarray, "units conditions"] | Measurement,
    *,
    again: Measurement | None = None,
    clusters: Shaped[np.ndarray, " units"] | None = None,
    families: Sequence[str] | None = None,
    ranks: bool = True,
    rng: np.random.Generator,
    splits: int = 500,
    level: float = 0.95,
) -> Estimate:
    """How well two random halves of the units agree about the conditions.

    The mean r, over random splits, of the Spearman (without ``ranks`` the Pearson) correlation of
    the halves' condition means, stepped up to the full number of units by the Spearman-Brown
    formula 2r/(1 + r); the interval is the spread over splits, not a confidence interval. Range: up
    to 1; chance 0. A condition without a value in one half is left out of that split; NaN where no
    split has three conditions that differ. Pitfalls: it is the reliability for these conditions,
    not for all purposes. Noise puts conditions in order that are equal in truth, which lowers the
    rank correlation although others lie far apart; without ``ranks`` those that lie far apart
    decide.

    Args:
        values: a quality per unit (pairs) and condition (explainers, rungs or classes).
        again: the same measured a second time, as with another fill: the second half of the units
            then counts as measured there, so that the halves differ in that as well. The step up
            is for the units alone.
        clusters: units of one cluster (picture) stay in one half; by default each for itself.
        families: conditions are ranked (or centered) within these, and the families pooled.
        ranks: correlate ranks; else the means themselves.
        rng: source of the splits.
        splits: number of random splits.
        level: share of the splits between the ends of the interval.

    Raises:
        ValueError: for fewer than four clusters of units or three conditions.

    Source: Spearman (1910), Brown (1910); of metrics of saliency maps Tomsett et al., Sanity Checks
    for Saliency Metrics (AAAI 2020).
    """
    first = values if isinstance(values, Measurement) else Measurement(values)
    second = first if again is None else again
    units, conditions = np.shape(first.values)
    labels = np.arange(units) if clusters is None else np.asarray(clusters)
    index = np.unique(labels, return_inverse=True)[1]
    n = int(index.max(initial=-1)) + 1
    if n < FEWEST_UNITS or conditions < _FEWEST_CONDITIONS:
        raise ValueError(
            f"expected four units and three conditions or more, got {n} and {conditions}"
        )
    drawn = rng.permuted(np.tile(np.arange(n), (splits, 1)), axis=1) < n // 2
    half = drawn[:, index].astype(np.float64)
    strata = np.zeros(conditions, dtype=np.int64)
    if families is not None:
        strata = np.unique(np.asarray(families), return_inverse=True)[1]
    r = _agreement(first.means(half), second.means(1 - half), strata, ranks=ranks)
    dropped = int(np.isnan(np.asarray(first.values, dtype=np.float64)).sum())
    return Estimate(*_over_splits(r, level), level, n, dropped)


def _over_splits(r: Float[np.ndarray, " b"], level: float) -> tuple[float, float, float]:
    """Mean and spread of the correlations, stepped up; NaN where no split has one."""
    if np.isnan(r).all():
        return math.nan, math.nan, math.nan
    ends = np.nanquantile(r, ((1 - level) / 2, (1 + level) / 2))
    value, low, high = (_stepped_up(float(one)) for one in (np.nanmean(r), *ends))
    return value, low, high


def _stepped_up(r: float) -> float:
    """Spearman and Brown's formula for twice the units; below -0.5 it has no meaning."""
    return 2 * r / (1 + max(r, -0.5))


def _agreement(
    a: Float[np.ndarray, "b n"],
    b: Float[np.ndarray, "b n"],
    strata: Int[np.ndarray, " n"],
    *,
    ranks: bool,
) -> Float[np.ndarray, " b"]:
    """Correlation of each pair of rows within strata, over the columns known in both."""
    known = ~(np.isnan(a) | np.isnan(b))
    x, y = (_within(rows, known, strata, ranks=ranks) for rows in (a, b))
    enough = known.sum(axis=1) >= _FEWEST_CONDITIONS
    return np.where(enough, centered_correlation(x, y), np.nan)


def _within(
    x: Float[np.ndarray, "b n"],
    known: Bool[np.ndarray, "b n"],
    strata: Int[np.ndarray, " n"],
    *,
    ranks: bool,
) -> Float[np.ndarray, "b n"]:
    """Known columns, or their average ranks, centered within each stratum; zero elsewhere."""
    result = np.zeros(x.shape)
    for stratum in np.unique(strata):
        own = strata == stratum
        here, part = known[:, own], x[:, own]
        if ranks:
            part = stats.rankdata(np.where(here, part, np.inf), axis=1)
        count = np.maximum(here.sum(axis=1, keepdims=True), 1)
        middle = np.where(here, part, 0.0).sum(axis=1, keepdims=True) / count
        result[:, own] = np.where(here, part - middle, 0.0)
    return result
