"""The rank correlation that is left when covariates are held fixed, and what they explain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped
from scipy import stats

from audit.statistics.adjusted_area import adjusted_ranks
from audit.statistics.correlation import spearman_reach
from audit.statistics.estimate import Estimate
from audit.statistics.paired import spearman_permutation

Values = Shaped[np.ndarray, " n"]


def partial_spearman(
    x: Values, y: Values, given: Sequence[Values], *, level: float = 0.95
) -> Estimate:
    """Partial Spearman correlation, in [-1, 1], with the interval of Fisher's z.

    The correlation of what is left of the ranks of x and of y when those of the covariates are
    taken out by least squares. The variance of z is 1.06/(n - 3 - k) for k covariates that vary
    (Fisher 1924; Fieller, Hartley and Pearson 1957). Zero, with no width, where nothing is left of
    x, which then follows nothing; NaN where nothing is left of y; no interval for n - k below five.
    """
    n = len(x)
    left = [adjusted_ranks(values, given, degree=1) for values in (x, y)]
    if not left[1].any():
        return Estimate(math.nan, math.nan, math.nan, level, n)
    if not left[0].any():
        return Estimate(0.0, 0.0, 0.0, level, n)
    value = float(np.corrcoef(np.stack(left))[0, 1])
    return spearman_reach(value, n - held_fixed(given), n=n, level=level)


def held_fixed(given: Sequence[Values]) -> int:
    """How many of the covariates vary, each of which costs a unit."""
    return sum(bool(np.ptp(values) > 0) for values in given)


def partial_permutation(
    x: Values, y: Values, given: Sequence[Values], *, rng: np.random.Generator
) -> float | None:
    """Two-sided p-value of that correlation, what is left of y being permuted; None without one."""
    left = [adjusted_ranks(values, given, degree=1) for values in (x, y)]
    p = spearman_permutation(*left, rng=rng, ranked=True).p
    return p if p is not None and math.isfinite(p) else None


def left_reliability(reliability: float, values: Values, given: Sequence[Values]) -> float:
    """Reliability of what is left of values when covariates are held fixed.

    The noise of the values stays as it was while their variance shrinks by what the covariates
    explain: 1 - (1 - r)/(1 - R²). NaN where r is; minus infinity where all is explained.
    """
    ranks = stats.rankdata(values)
    left = float(adjusted_ranks(values, given, degree=1).var() / ranks.var()) if len(ranks) else 0.0
    return 1 - (1 - reliability) / left if left > 0 else -math.inf
