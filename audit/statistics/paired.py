"""Paired comparisons and permutation tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate, without_nan

_EXACT_CLUSTERS = 12
_EXACT_PERMUTATIONS = 50_000
_TINY = 1e-12
PERMUTATIONS = 9_999


def paired_difference(
    a: Shaped[np.ndarray, " n"],
    b: Shaped[np.ndarray, " n"],
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Mean of a - b over the same pairs, its bootstrap interval, and a sign-flip p-value.

    The two-sided p-value flips the sign of whole clusters: all 2ⁿ ways for up to 12 clusters, else
    9,999 random ones with the observed one counted. Its null is that differences are symmetric
    about zero. Pairs with NaN on either side are dropped and counted. Source: Good, Permutation
    Tests (2000).
    """
    rows = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    estimate = bootstrap_interval(
        rows, clusters=clusters, rng=rng, resamples=resamples, level=level
    )
    return replace(estimate, p=sign_flip(rows, clusters=clusters, rng=rng))


def sign_flip(
    differences: Shaped[np.ndarray, " n"],
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    flips: int = PERMUTATIONS,
) -> float:
    """Two-sided p-value of differences that are symmetric about zero under the null.

    Flips the sign of whole clusters: all 2ⁿ ways for up to 12 clusters, else random ones with the
    observed one counted, so that p is never zero. Differences that are NaN are dropped. Source:
    Good, Permutation Tests (2000); Phipson and Smyth (2010).

    Raises:
        ValueError: where every difference is NaN.
    """
    kept, index, _ = without_nan(differences, clusters)
    sums = np.bincount(index, weights=kept)
    n = len(sums)
    exact = n <= _EXACT_CLUSTERS
    if exact:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    else:
        signs = 2.0 * rng.integers(0, 2, (flips, n), dtype=np.int8) - 1
    observed = abs(sums.sum())
    extreme = np.abs(signs @ sums) >= observed - _TINY * np.abs(sums).sum()
    return float(extreme.mean()) if exact else float((1 + extreme.sum()) / (1 + len(extreme)))


def spearman_permutation(
    x: Shaped[np.ndarray, " n"],
    y: Shaped[np.ndarray, " n"],
    *,
    families: Sequence[str] | None = None,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
    ranked: bool = False,
) -> Estimate:
    """Spearman correlation with a two-sided permutation p-value (no interval).

    Permutes y within each family only, so that differences between families cannot make a
    relation within them. All permutations where they are at most 50,000 (n up to 8), else random
    ones with the observed one counted. Observations with NaN are dropped and counted. The value
    and p are NaN where x or y is constant. With ``ranked``, x and y are ranks already, centered on
    zero. Source: Edgington (1995).
    """
    labels = None if families is None else np.asarray(families)
    rows, _, dropped = without_nan(np.stack([x, y], axis=1), None)
    if labels is not None:
        labels = labels[~np.isnan(np.stack([x, y], axis=1).astype(np.float64)).any(axis=1)]
    n = len(rows)
    ranks = rows if ranked else stats.rankdata(rows, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    length = np.sqrt((ranks**2).sum(axis=0)).prod()
    if length == 0:
        return Estimate(np.nan, np.nan, np.nan, 0.95, n, dropped, p=np.nan)
    order, exact = permutation_table(n, labels, rng, permutations)
    null = ranks[:, 1][order] @ ranks[:, 0] / length
    value = float(ranks[:, 0] @ ranks[:, 1] / length)
    p = permutation_p(null, value, exact=exact)
    return Estimate(value, np.nan, np.nan, 0.95, n, dropped, p=p)


def permutation_p(null: Float[np.ndarray, " b"], value: float, *, exact: bool) -> float:
    """Two-sided p-value of a value among those of permutations, NaN where it is NaN.

    Args:
        null: values of the permutations.
        value: of what was observed.
        exact: the permutations are all that there are, else the observed one is counted as well.
    """
    if math.isnan(value):
        return math.nan
    extreme = int((np.abs(null) >= abs(value) - _TINY).sum())
    return extreme / len(null) if exact else (1 + extreme) / (1 + len(null))


def permutation_table(
    n: int,
    families: Shaped[np.ndarray, " n"] | None,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> tuple[Int[np.ndarray, "b n"], bool]:
    """Orders of n units that keep families in place, and whether they are all that exist."""
    index = np.zeros(n, dtype=np.int64)
    if families is not None:
        index = np.unique(families, return_inverse=True)[1]
    groups = [np.flatnonzero(index == g) for g in np.unique(index)]
    if math.prod(math.factorial(len(g)) for g in groups) <= _EXACT_PERMUTATIONS:
        return _all_orders(groups, n), True
    keys = rng.random((permutations, n)) + index
    sorted_keys = np.argsort(keys, axis=1)
    order = np.empty_like(sorted_keys)
    order[:, np.argsort(index, kind="stable")] = sorted_keys
    return order, False


def _all_orders(groups: list[Int[np.ndarray, " _"]], n: int) -> Int[np.ndarray, "b n"]:
    orders = np.arange(n)[None]
    for group in groups:
        inner = np.array(list(itertools.permutations(group)))
        orders = np.repeat(orders, len(inner), axis=0)
        orders[:, group] = np.tile(inner, (len(orders) // len(inner), 1))
    return orders


def holm(p_values: Shaped[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Holm's adjusted p-values: reject those at or below alpha, errors over all at most alpha.

    Simulations of whole audits ask it tens of thousands of times, for which statsmodels' procedure,
    its oracle in the tests, takes a millisecond each.

    Raises:
        ValueError: for a p-value outside [0, 1] or NaN; decide first what a missing test means.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"expected p-values in [0, 1], got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted
