"""A rank correlation over few units with its interval, and how reliable group means are."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int, Real, Shaped
from scipy import stats

from audit.statistics.estimate import Estimate

_FIELLER = 1.06  # variance of Fisher's z of a Spearman correlation, times n - 3


def spearman_interval(
    x: Shaped[np.ndarray, " n"], y: Shaped[np.ndarray, " n"], *, level: float = 0.95
) -> Estimate:
    """Spearman correlation, in [-1, 1], with the interval of Fisher's z.

    The variance of z is 1.06/(n - 3) (Fieller, Hartley and Pearson 1957), that of
    `smallest_visible_effect`. A correlation of ±1 counts as the next one that untied ranks can
    have, so that its interval has width. NaN where x or y is constant; no interval for fewer than
    five units.
    """
    n = len(x)
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(math.nan, math.nan, math.nan, level, n)
    return spearman_reach(float(stats.spearmanr(x, y).statistic), n, n=n, level=level)


def spearman_reach(value: float, free: int, *, n: int, level: float) -> Estimate:
    """A rank correlation with its interval.

    Args:
        value: of the correlation.
        free: units, less one for each covariate that is held fixed; no interval below five.
        n: units.
        level: of the interval.
    """
    if free < 5:
        return Estimate(value, math.nan, math.nan, level, n)
    most = 1 - 12 / (n**3 - n)
    z = math.atanh(min(max(value, -most), most))
    reach = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(_FIELLER / (free - 3))
    return Estimate(value, math.tanh(z - reach), math.tanh(z + reach), level, n)


def reliability_of_shares(
    successes: Real[np.ndarray, " n"], counts: Int[np.ndarray, " n"]
) -> float:
    """Part of the variance of observed shares that is not the noise of counting, at most 1.

    One minus the mean binomial variance (unbiased, so counts are 2 or more) over the observed
    variance; zero or less where the shares differ no more than counting explains; NaN where all
    are equal. Source: the reliability of classical test theory, as in Lord and Novick (1968).
    """
    shares = successes / counts
    observed = float(shares.var(ddof=1)) if len(shares) > 1 else 0.0
    if observed == 0:
        return math.nan
    return 1 - float((shares * (1 - shares) / (counts - 1)).mean()) / observed


def lengthening(reliability: float, wanted: float) -> float:
    """How many times more units a group mean needs for the wanted reliability.

    Spearman and Brown's formula; infinite where the reliability is zero or less, or NaN.
    """
    if not reliability > 0:
        return math.inf
    if reliability >= 1:
        return 0.0
    return wanted / (1 - wanted) * (1 - reliability) / reliability


def spread_between(
    values: Float[np.ndarray, " n"], clusters: Int[np.ndarray, " n"]
) -> tuple[float, int]:
    """Standard deviation between the means of clusters, and their number; NaN values are left out.

    NaN for fewer than two clusters.
    """
    known = ~np.isnan(values)
    index = np.unique(clusters[known], return_inverse=True)[1]
    count = np.bincount(index)
    if len(count) < 2:
        return math.nan, len(count)
    means = np.bincount(index, weights=values[known]) / count
    return float(means.std(ddof=1)), len(count)
