from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from audit.statistics import ladder_correlation, rung_quality
from audit.statistics.ladder_trend import stratified_spearman_rows
from audit.statistics.rung_weights import rung_reliability
from tests.oracles import oracle


def ladder(rng, rungs=12, pairs=60, truth=0.95):
    """Quality per rung and pair, correctness, with correlated true levels of the rungs."""
    level = rng.standard_normal((2, rungs))
    level[1] = truth * level[0] + math.sqrt(1 - truth**2) * level[1]
    accuracy = 0.1 + 0.8 * stats.norm.cdf(level[0])
    quality = 0.2 * level[1][:, None] + 0.2 * rng.standard_normal(pairs)
    quality = quality + 0.1 * rng.standard_normal((rungs, pairs))
    return quality, rng.random((rungs, pairs)) < accuracy[:, None]


def weighted_spearman(x, y, weights):
    ranks = np.stack([stats.rankdata(x), stats.rankdata(y)], axis=1)
    described = oracle("statsmodels.stats.weightstats").DescrStatsW(ranks, weights=weights)
    return described.corrcoef[0, 1]


def loop_bootstrap(quality, correct, picture, families, weights, rng):
    """Draw pictures and rungs one resample at a time."""
    values, n = [], correct.shape[1]
    for _ in range(1500):
        pictures = rng.integers(0, n, n)
        pairs = [i for p in pictures for i in np.flatnonzero(picture == p)]
        rungs = [rng.choice(np.flatnonzero(families == f)) for f in families]
        q = np.nanmean(quality[:, pairs], axis=1)[rungs]
        accuracy = correct[:, pictures].mean(axis=1)[rungs]
        values.append(weighted_spearman(q, accuracy, weights[rungs]))
    return np.quantile(values, [0.025, 0.975])


def test_correlation_and_interval_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    quality, correct = ladder(rng, rungs=14, pairs=60, truth=0.8)
    picture = np.arange(60) // 2
    correct = correct[:, :30]
    quality[:, 7], quality[3, 4] = np.nan, np.nan
    families = np.array(list("aaaaabbbbbcccc"))
    found = ladder_correlation(
        quality, correct, picture=picture, families=list(families), rng=rng, resamples=3000
    )
    index = np.unique(families, return_inverse=True)[1]
    weights = rung_reliability(quality, picture=picture, strata=index)
    weights = weights * rung_reliability(correct, picture=np.arange(30), strata=index)
    assert weights.min() < 0.9
    means = np.nanmean(quality, axis=1)
    wanted = weighted_spearman(means, correct.mean(axis=1), weights)
    assert found.value == pytest.approx(wanted)
    assert abs(found.value - stats.spearmanr(means, correct.mean(axis=1))[0]) > 0.005
    wanted = loop_bootstrap(quality, correct, picture, families, weights, rng)
    np.testing.assert_allclose([found.low, found.high], wanted, atol=0.06)
    assert found.n == 14


def test_no_relation_is_seldom_taken_for_one_and_a_strong_one_is_seen():
    rng = np.random.default_rng(0)
    none = [ladder_correlation(*ladder(rng, truth=0.0), rng=rng, resamples=300) for _ in range(150)]
    strong = [ladder_correlation(*ladder(rng, rungs=16), rng=rng, resamples=300) for _ in range(50)]
    assert sum(e.above(0.0) for e in none) <= 9
    assert sum(e.below(0.0) for e in none) <= 9
    assert sum(e.p <= 0.05 for e in none) <= 17
    assert sum(e.above(0.3) for e in strong) >= 45


def test_flat_quality_has_no_correlation_and_never_passes():
    rng = np.random.default_rng(0)
    _, correct = ladder(rng)
    flat = np.tile(rng.random(60), (12, 1))
    found = ladder_correlation(flat, correct, rng=rng)
    assert math.isnan(found.value)
    assert not found.above(-1.0)
    assert not found.below(1.0)


def test_ratio_of_sums_and_missing_rungs():
    quality = np.array([[1.0, 2.0, np.nan], [np.nan] * 3, [1.0, 1.0, 1.0]])
    below = np.array([[1.0, 3.0, 9.0], [1.0] * 3, [-1.0, 0.5, 0.2]])
    np.testing.assert_allclose(rung_quality(quality), [[1.5, np.nan, 1.0]])
    np.testing.assert_allclose(rung_quality(quality, below), [[0.75, np.nan, np.nan]])
    rng = np.random.default_rng(0)
    many, correct = ladder(rng, truth=1.0)
    many[5] = np.nan
    found = ladder_correlation(many, correct, denominator=np.ones_like(many), rng=rng)
    assert (found.n, found.dropped) == (11, 1)
    with pytest.raises(ValueError, match="three rungs"):
        ladder_correlation(quality, np.ones((3, 3), dtype=bool), rng=rng)
    with pytest.raises((ValueError, TypeError), match="rungs"):
        ladder_correlation(many, correct[:5], rng=rng)


def test_row_correlations_are_those_of_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 20, 9)).astype(float)
    x[3] = 2
    found = stratified_spearman_rows(x, y, np.zeros(9, dtype=int), np.ones((20, 9)))
    assert math.isnan(found[3])
    for i in (0, 1, 2, 4, 19):
        assert found[i] == pytest.approx(stats.spearmanr(x[i], y[i])[0])
