"""Bootstrap intervals: whole clusters are drawn, and a draw is a row of weights.

A statistic is a function of values (n, ...) and weights (b, n) that gives b numbers, so that all
resamples are one matrix product: see `mean`, `ratio_of_means` and `audit.statistics.auroc`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from audit.statistics.estimate import Estimate, without_nan

Statistic = Callable[
    [Float[np.ndarray, "n ..."], Float[np.ndarray, "b n"]], Float[np.ndarray, " b"]
]
_LEAST_IN_TAIL = 5
_CHUNK = 4_000_000  # weights held at a time


def mean(
    values: Float[np.ndarray, " n"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Weighted mean."""
    return np.asarray((weights @ values) / weights.sum(axis=1))


def ratio_of_means(
    values: Float[np.ndarray, "n 2"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Sum of the first column over the sum of the second; NaN where that is zero."""
    above, below = weights @ values[:, 0], weights @ values[:, 1]
    ratio: Float[np.ndarray, " b"] = np.full_like(above, np.nan)
    np.divide(above, below, out=ratio, where=below != 0)
    return ratio


def bootstrap_interval(
    values: Shaped[np.ndarray, "n ..."],
    statistic: Statistic = mean,
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """A statistic with its bootstrap interval, whole clusters being drawn with replacement.

    The percentile interval is widened as a t interval is for small samples (Hesterberg, What
    Teachers Should Know about the Bootstrap, 2015). Of 2,000 intervals for a normal mean from 8
    (40) units 93 (95) % covered it, and 87 (94) % of BCa's (Efron 1987). Where fewer than five
    draws lie beyond an end, the interval is at least that of t with the bootstrap's standard
    error. With a single cluster there is no interval (NaN).

    Args:
        values: one row per observation; rows with NaN are dropped and counted.
        statistic: of values and weights.
        clusters: label of each row's cluster, by default every row for itself.
        rng: source of the draws.
        resamples: number of draws.
        level: confidence level.

    Raises:
        ValueError: where every row has a NaN.
    """
    drawn = bootstrap_draws(values, statistic, clusters=clusters, rng=rng, resamples=resamples)
    return drawn.interval(level)


@dataclass(frozen=True)
class Draws:
    """A statistic and its values over resamples, of which intervals of any level can be had.

    Attributes:
        value: of the data.
        drawn: of each resample; empty where there is a single cluster.
        n: clusters.
        dropped: rows left out because of a NaN.
    """

    value: float
    drawn: Float[np.ndarray, " b"]
    n: int
    dropped: int

    def __sub__(self, other: Draws | float) -> Draws:
        """What it has over another statistic of the same resamples, or over a number."""
        value, drawn = (other.value, other.drawn) if isinstance(other, Draws) else (other, other)
        return replace(self, value=self.value - value, drawn=self.drawn - drawn)

    def interval(self, level: float) -> Estimate:
        """The statistic with its interval: see `bootstrap_interval`."""
        if not len(self.drawn):
            return Estimate(self.value, np.nan, np.nan, level, self.n, self.dropped)
        n, shares = self.n, expanded_shares(self.n, level)
        low, high = np.nanquantile(self.drawn, shares)
        if shares[0] * len(self.drawn) < _LEAST_IN_TAIL:
            quantile = float(stats.t.ppf((1 + level) / 2, n - 1))
            reach = quantile * self.drawn.std() * np.sqrt(n / (n - 1))
            low, high = min(low, self.value - reach), max(high, self.value + reach)
        return Estimate(self.value, float(low), float(high), level, n, self.dropped)


def bootstrap_draws(
    values: Shaped[np.ndarray, "n ..."],
    statistic: Statistic = mean,
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Draws:
    """What `bootstrap_interval` takes its quantiles of, with its arguments."""
    return joint_draws(values, {"": statistic}, clusters=clusters, rng=rng, resamples=resamples)[""]


def joint_draws(
    values: Shaped[np.ndarray, "n ..."],
    statistics: Mapping[str, Statistic],
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> dict[str, Draws]:
    """Several statistics over the same resamples, so that what they differ by is paired.

    Args:
        values: see `bootstrap_interval`.
        statistics: by name, each of all values and weights.
        clusters: see `bootstrap_interval`.
        rng: source of the draws.
        resamples: number of draws.
    """
    rows, index, dropped = without_nan(values, clusters)
    n = int(index.max()) + 1
    parts: dict[str, list[Float[np.ndarray, " b"]]] = {name: [] for name in statistics}
    for part in _draws(n, resamples if n > 1 else 0, len(rows), rng):
        weights = part.take(index, axis=1)
        for name, statistic in statistics.items():
            parts[name].append(statistic(rows, weights))
    once = np.ones((1, len(rows)))
    return {
        name: Draws(
            float(statistic(rows, once)[0]), np.concatenate([np.zeros(0), *parts[name]]), n, dropped
        )
        for name, statistic in statistics.items()
    }


def draw_weights(n: int, resamples: int, rng: np.random.Generator) -> Float[np.ndarray, "b n"]:
    """How often each of n units is drawn in each resample.

    Drawn and counted, which takes a third of the time that numpy's multinomial numbers do.
    """
    drawn = rng.integers(0, n, (resamples, n)) + n * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n)
    return counts.reshape(resamples, n).astype(np.float64)


def draw_strata(
    strata: Int[np.ndarray, " n"], resamples: int, rng: np.random.Generator
) -> Int[np.ndarray, "b n"]:
    """Indices of units drawn with replacement, each stratum keeping its number of units."""
    drawn = np.empty((resamples, len(strata)), dtype=np.int64)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        drawn[:, members] = rng.choice(members, (resamples, len(members)))
    return drawn


def expanded_shares(n: int, level: float) -> tuple[float, float]:
    """Shares of the bootstrap distribution at which a percentile interval ends."""
    spread = np.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1)
    share = float(stats.norm.cdf(spread))
    return share, 1 - share


def _draws(
    n: int, resamples: int, rows: int, rng: np.random.Generator
) -> Iterator[Float[np.ndarray, "b n"]]:
    size = max(1, min(resamples, _CHUNK // rows))
    for i in range(0, resamples, size):
        yield draw_weights(n, min(size, resamples - i), rng)
