"""Does quality follow performance over the rungs of a ladder?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from audit.statistics.bootstrap import draw_strata, draw_weights
from audit.statistics.estimate import Estimate
from audit.statistics.paired import permutation_p, permutation_table
from audit.statistics.rung_means import rung_quality
from audit.statistics.rung_weights import rung_reliability


def ladder_correlation(
    quality: Shaped[np.ndarray, "rungs pairs"],
    correct: Shaped[np.ndarray, "rungs pictures"],
    *,
    picture: Int[np.ndarray, " pairs"] | None = None,
    denominator: Shaped[np.ndarray, "rungs pairs"] | None = None,
    families: Sequence[str] | None = None,
    within: bool = False,
    draw_pictures: bool = True,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Spearman correlation of mean quality and accuracy over rungs, in [-1, 1].

    A rung weighs as its quality and its accuracy are reliable, multiplied (`rung_reliability`).
    With ``within``, rungs are ranked within their family and the families are pooled
    (`stratified_spearman_rows`): kinds of degradation that hurt maps and accuracy in different
    proportion do not mask or make a relation. The permutations are within families either way.

    The interval is a two-way bootstrap: pictures, with all their pairs and for every rung alike,
    and rungs, within their families, are drawn independently, and the percentiles taken as they
    are: simulation finds at most 2.8 % of intervals wholly on either side of zero where there is no
    relation, for 6 to 24 rungs. ``n`` counts rungs; those without quality are dropped.

    Args:
        quality: per rung and pair, NaN where there is none.
        correct: whether the rung's model is right about each picture, 0 or 1.
        picture: the picture of each pair, by default pair i shows picture i.
        denominator: makes a rung's quality a ratio of sums.
        families: which rungs may stand for each other; families with one rung are pooled.
        within: rank within families.
        draw_pictures: else the interval is the one that any number of pictures leaves.
        rng: source of draws and permutations.
        resamples: bootstrap draws.
        level: of the interval.

    Raises:
        ValueError: for fewer than three rungs with a quality, or arrays that do not match.
    """
    pairs = _pictures_of_pairs(quality, correct, picture)
    means, kept = _with_quality(quality, denominator)
    right = np.asarray(correct, dtype=np.float64)[kept]
    quality = np.asarray(quality)[kept]
    below = None if denominator is None else np.asarray(denominator)[kept]
    names = None if families is None else [families[int(i)] for i in kept]
    own, strata = _strata(names, len(kept)), _strata(names if within else None, len(kept))
    trust = rung_reliability(quality, picture=pairs, strata=own, denominator=below)
    trust = trust * rung_reliability(right, picture=np.arange(right.shape[1]), strata=own)
    value, p = _permuted(means[kept], right.mean(axis=1), strata, trust, names, rng)
    n = right.shape[1]
    weights = draw_weights(n, resamples, rng) if draw_pictures else np.ones((resamples, n))
    rungs = draw_strata(own, resamples, rng)
    drawn = rung_quality(quality, below, weights[:, pairs]), weights @ right.T
    x, y = (np.take_along_axis(values, rungs, 1) for values in drawn)
    low, high = _interval(stratified_spearman_rows(x, y, strata, trust[rungs]), level)
    return Estimate(value, low, high, level, len(kept), len(means) - len(kept), p=p)


def _with_quality(
    quality: Shaped[np.ndarray, "rungs pairs"],
    denominator: Shaped[np.ndarray, "rungs pairs"] | None,
) -> tuple[Float[np.ndarray, " rungs"], Int[np.ndarray, " kept"]]:
    """Means of the rungs, and the indices of those that have one."""
    means = rung_quality(quality, denominator)[0]
    kept = np.flatnonzero(~np.isnan(means))
    if len(kept) < 3:
        raise ValueError(f"expected three rungs with a quality or more, got {len(kept)}")
    return means, kept


def _permuted(
    quality: Float[np.ndarray, " n"],
    accuracy: Float[np.ndarray, " n"],
    strata: Int[np.ndarray, " n"],
    trust: Float[np.ndarray, " n"],
    families: Sequence[str] | None,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """The correlation, and its two-sided p-value by permutations within families."""
    labels = None if families is None else np.asarray(families)
    order, exact = permutation_table(len(quality), labels, rng)
    every, weights = np.tile(quality, (len(order), 1)), np.tile(trust, (len(order), 1))
    null = stratified_spearman_rows(every, accuracy[order], strata, weights)
    rows = quality[None], accuracy[None], strata, trust[None]
    value = float(stratified_spearman_rows(*rows)[0])
    return value, permutation_p(null, value, exact=exact)


def _pictures_of_pairs(
    quality: Shaped[np.ndarray, "rungs pairs"],
    correct: Shaped[np.ndarray, "rungs pictures"],
    picture: Int[np.ndarray, " pairs"] | None,
) -> Int[np.ndarray, " pairs"]:
    """The picture of each pair, once the arrays have been found to match."""
    pairs = np.arange(np.shape(quality)[1]) if picture is None else np.asarray(picture)
    if np.shape(quality)[0] != np.shape(correct)[0] or pairs.max() >= np.shape(correct)[1]:
        raise ValueError(
            f"expected quality (rungs, pairs) and correct (rungs, pictures), got "
            f"{np.shape(quality)} and {np.shape(correct)}, pairs of pictures to {pairs.max()}"
        )
    return pairs


def within_ranks(
    x: Float[np.ndarray, "b n"], strata: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "b n"]:
    """Average ranks within each stratum of columns, centered on zero."""
    ranks = np.empty(x.shape)
    for stratum in np.unique(strata):
        own = strata == stratum
        part = stats.rankdata(x[:, own], axis=1, nan_policy="propagate")
        ranks[:, own] = part - part.mean(axis=1, keepdims=True)
    return ranks


def stratified_spearman_rows(
    x: Float[np.ndarray, "b n"],
    y: Float[np.ndarray, "b n"],
    strata: Int[np.ndarray, " n"],
    weights: Float[np.ndarray, "b n"],
) -> Float[np.ndarray, " b"]:
    """Spearman correlation of each pair of rows, ranked within strata of columns and pooled.

    Large strata weigh more, as their ranks span more. One stratum gives Spearman's correlation.
    Weights are of the ranks, each of which is centered on the weighted mean of its stratum. NaN
    where a row is constant within every stratum, or has NaN.
    """
    ranks = [within_ranks(values, strata) for values in (x, y)]
    for stratum in np.unique(strata):
        own = strata == stratum
        part = weights[:, own]
        for row in ranks:
            row[:, own] -= (part * row[:, own]).sum(1, keepdims=True) / part.sum(1, keepdims=True)
    return centered_correlation(*(np.sqrt(weights) * row for row in ranks))


def centered_correlation(
    x: Float[np.ndarray, "b n"], y: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Correlation of each pair of rows that are centered already; NaN where one is constant."""
    length = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    correlation = np.full(len(x), np.nan)
    np.divide((x * y).sum(axis=1), length, out=correlation, where=length > 0)
    return correlation


def _strata(families: Sequence[str] | None, n: int) -> Int[np.ndarray, " n"]:
    if families is None:
        return np.zeros(n, dtype=np.int64)
    index, counts = np.unique(families, return_inverse=True, return_counts=True)[1:]
    return np.where(counts[index] == 1, -1, index)


def _interval(draws: Float[np.ndarray, " b"], level: float) -> tuple[float, float]:
    if np.isnan(draws).all():
        return np.nan, np.nan
    low, high = np.nanquantile(draws, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
