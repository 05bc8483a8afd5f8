"""Proportions, accuracies of two models on the same pictures, and the area under the ROC curve."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy import stats
from sklearn.metrics import roc_auc_score

from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate, without_nan
from audit.statistics.paired import PERMUTATIONS


def proportion_interval(successes: int, n: int, level: float = 0.95) -> Estimate:
    """A proportion with Wilson's score interval.

    Raises:
        ValueError: where n is not positive or successes are outside [0, n].
    """
    interval = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high), level, n)


def paired_proportion_difference(
    a: Bool[np.ndarray, " n"], b: Bool[np.ndarray, " n"], level: float = 0.95
) -> Estimate:
    """Difference of two proportions on the same units, as the accuracies of two models.

    The interval is Newcombe's square-and-add of two Wilson intervals with the correlation of the
    pairs (method 10, Statistics in Medicine 1998); p is McNemar's exact two-sided one.

    Raises:
        ValueError: for no units, or arrays of different shape.
    """
    x, y = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if x.shape != y.shape or x.ndim != 1 or len(x) == 0:
        raise ValueError(f"expected two equally long rows of outcomes, got {x.shape}, {y.shape}")
    n, both, neither = len(x), int((x & y).sum()), int((~x & ~y).sum())
    only_a, only_b = int((x & ~y).sum()), int((~x & y).sum())
    first = proportion_interval(both + only_a, n, level)
    second = proportion_interval(both + only_b, n, level)
    phi = _paired_correlation(both, only_a, only_b, neither)
    value = first.value - second.value
    below = _root_sum(first.value - first.low, second.high - second.value, phi)
    above = _root_sum(first.high - first.value, second.value - second.low, phi)
    discordant = only_a + only_b
    p = float(stats.binomtest(only_a, discordant).pvalue) if discordant else 1.0
    return Estimate(value, value - below, value + above, level, n, p=p)


def _paired_correlation(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Newcombe's correlation of the pairs, with his correction for continuity."""
    n = both + only_a + only_b + neither
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if margins == 0:
        return 0.0
    excess = both * neither - only_a * only_b
    corrected = max(excess - n / 2, 0.0) if excess > 0 else float(excess)
    return corrected / math.sqrt(margins)


def _root_sum(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))


def auroc(
    values: Float[np.ndarray, "n 2"], weights: Float[np.ndarray, "b n"]
) -> Float[np.ndarray, " b"]:
    """Weighted area under the ROC curve of scores (column 0) for 0/1 labels (column 1).

    Ties count one half. NaN where a draw holds one class only. Of one row of weights it is
    scikit-learn's `roc_auc_score`; that one would sort the same scores again for each of thousands
    of resamples, where this sorts them once: a draw's weight below a score is a cumulative sum.
    """
    wrong = np.flatnonzero(values[:, 1] == 0)
    wrong = wrong[np.argsort(values[wrong, 0])]
    right = np.flatnonzero(values[:, 1] == 1)
    ends = [values[wrong, 0].searchsorted(values[right, 0], side) for side in ("left", "right")]
    of_right = weights.take(right, axis=1)
    below = np.zeros((len(weights), 1 + len(wrong)))
    np.cumsum(weights.take(wrong, axis=1), axis=1, out=below[:, 1:])
    beaten = (below.take(ends[0], axis=1) + below.take(ends[1], axis=1)) / 2
    area = np.einsum("br,br->b", of_right, beaten)
    pairs = of_right.sum(axis=1) * below[:, -1]
    result: Float[np.ndarray, " b"] = np.full_like(area, np.nan)
    np.divide(area, pairs, out=result, where=pairs > 0)
    return result


def auroc_with_interval(
    scores: Shaped[np.ndarray, " n"],
    labels: Bool[np.ndarray, " n"],
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Probability that a unit with a true label outscores one with a false label.

    Range: [0, 1], chance 0.5. The area is scikit-learn's. The interval is the wider of the cluster
    bootstrap and Newcombe's score interval (method 5, 2006), since the bootstrap has no width where
    the classes separate; Newcombe's counts the clusters that hold a unit of each class, since units
    of a cluster may all say the same. p is the Mann-Whitney one, which takes units as independent.
    Scores that are NaN are dropped.

    Raises:
        ValueError: where one of the two classes has no unit left.
    """
    rows = np.stack([np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=float)], 1)
    known = ~np.isnan(rows[:, 0])
    kept = rows[known]
    right, wrong = kept[kept[:, 1] == 1, 0], kept[kept[:, 1] == 0, 0]
    if not len(right) or not len(wrong):
        raise ValueError(
            f"expected units of both classes, got {len(right)} true and {len(wrong)} false"
        )
    drawn = bootstrap_interval(
        rows, auroc, clusters=clusters, rng=rng, resamples=resamples, level=level
    )
    whose = (np.arange(len(rows)) if clusters is None else np.asarray(clusters))[known]
    n_right, n_wrong = (len(np.unique(whose[kept[:, 1] == label])) for label in (1, 0))
    value = float(roc_auc_score(kept[:, 1], kept[:, 0]))
    low, high = _newcombe_auroc(value, n_right, n_wrong, level)
    p = float(stats.mannwhitneyu(right, wrong, alternative="two-sided").pvalue)
    low, high = float(np.fmin(low, drawn.low)), float(np.fmax(high, drawn.high))
    return Estimate(value, low, high, level, drawn.n, drawn.dropped, p=p)


def auroc_permutation(
    scores: Shaped[np.ndarray, " n"],
    labels: Bool[np.ndarray, " n"],
    *,
    clusters: Shaped[np.ndarray, " n"] | None = None,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> float:
    """Two-sided permutation p-value of the area under the ROC curve, the null area being one half.

    Whole clusters exchange their labels, among those of the same size, so that units of a cluster
    need not be independent; the observed labels are counted, so that p is never zero. Scores that
    are NaN are dropped. 1 where no exchange alters anything. Source: Good, Permutation Tests
    (2000); Phipson and Smyth (2010).

    Raises:
        ValueError: where every score is NaN.
    """
    rows = np.stack([np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=float)], 1)
    kept, index, _ = without_nan(rows, clusters)
    ranks = stats.rankdata(kept[:, 0])
    ranks -= ranks.mean()
    order = np.argsort(index, kind="stable")
    sizes = np.bincount(index)
    starts = np.cumsum(sizes) - sizes
    null = np.zeros(permutations)
    for size in np.unique(sizes):
        own = order[starts[sizes == size][:, None] + np.arange(size)]  # (clusters, size)
        drawn = np.argsort(rng.random((permutations, len(own))), axis=1)
        products = kept[own, 1] @ ranks[own].T  # of a cluster's labels with a cluster's ranks
        null += products[drawn, np.arange(len(own))].sum(axis=1)
    observed = abs(float(kept[:, 1] @ ranks))
    extreme = int((np.abs(null) >= observed - 1e-9 * np.abs(ranks).sum()).sum())
    return (1 + extreme) / (1 + permutations)


def _newcombe_auroc(value: float, right: int, wrong: int, level: float) -> tuple[float, float]:
    """The areas whose Hanley-McNeil standard error puts the estimate at the edge."""
    z, middle = stats.norm.ppf((1 + level) / 2), (right + wrong) / 2 - 1
    grid = np.linspace(0, 1, 20_001)
    variance = (
        grid * (1 - grid) * (1 + middle * (1 - grid) / (2 - grid) + middle * grid / (1 + grid))
    )
    inside = np.abs(value - grid) <= z * np.sqrt(variance / (right * wrong))
    inside |= np.abs(value - grid) <= grid[1] / 2
    ends = grid[inside]
    return float(ends.min()), float(ends.max())
