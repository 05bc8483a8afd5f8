from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from audit.statistics import ladder_correlation, rung_quality
from audit.statistics.bootstrap import draw_weights
from audit.statistics.rung_weights import rung_reliability
from tests.oracles import oracle


def measured(rng, pairs, *, apart=1.0, noise=1.0, rungs=6):
    """Qualities of rungs that lie apart, with noise of each pair and noise that rungs share."""
    level = apart * rng.standard_normal(rungs)
    shared = 5.0 * rng.standard_normal(pairs)
    return level, level[:, None] + shared + noise * rng.standard_normal((rungs, pairs))


def test_reliability_is_the_share_of_what_is_true():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        _, quality = measured(rng, 50, rungs=40, noise=5.0)  # 1 / (1 + 25 / 50)
        strata = np.zeros(40, dtype=int)
        found.append(rung_reliability(quality, picture=np.arange(50), strata=strata).mean())
    assert np.mean(found) == pytest.approx(1 / 1.5, abs=0.02)


def test_noise_of_a_ratio_over_pictures_is_that_of_the_bootstrap():
    combine_effects = oracle("statsmodels.stats.meta_analysis").combine_effects
    rng = np.random.default_rng(0)
    _, quality = measured(rng, 240, noise=3.0, apart=2.0)
    below = 1.0 + rng.random((6, 240))
    quality[:, 0], quality[2, 5:170] = np.nan, np.nan
    picture, strata = np.arange(240) // 2, np.array([0, 0, 0, 1, 1, 1])
    found = rung_reliability(quality, picture=picture, strata=strata, denominator=below)
    means = rung_quality(quality, below)[0]
    draws = rung_quality(quality, below, draw_weights(120, 20_000, rng)[:, picture])
    noise = np.empty(6)
    parts = []
    for own in (strata == 0, strata == 1):
        apart = draws[:, own] - draws[:, own].mean(1, keepdims=True)
        noise[own] = 1.5 * apart.var(0)
        parts.append(combine_effects(means[own], noise[own], method_re="dl"))
    true = sum(p.q - p.df for p in parts) / sum(p.c for p in parts)
    wanted = true / (true + noise)
    assert 0.2 < wanted.min() < wanted.max() < 0.99
    np.testing.assert_allclose(found, wanted, rtol=0.1)
    assert found[2] == found.min()


def test_rungs_that_do_not_differ_count_alike():
    rng = np.random.default_rng(0)
    _, quality = measured(rng, 50, apart=0.0)
    shuffled = rng.permuted(quality, axis=0)
    assert (
        rung_reliability(
            np.tile(shuffled[:1], (6, 1)), picture=np.arange(50), strata=np.zeros(6, dtype=int)
        )
        == 1
    ).all()
    alone = rung_reliability(quality[:1], picture=np.arange(50), strata=np.zeros(1, dtype=int))
    assert alone == [1]


def test_a_rung_that_few_pairs_measure_does_not_hide_a_relation():
    rng = np.random.default_rng(0)
    weighted, plain = [], []
    for _ in range(60):
        share = np.linspace(0.1, 0.9, 8)
        correct = rng.random((8, 400)) < share[:, None]
        quality = 0.3 * share[:, None] + rng.standard_normal((8, 400))
        quality[[1, 4], 3:] = np.nan  # three pairs each
        found = ladder_correlation(quality, correct, rng=rng, resamples=50)
        weighted.append(found.value)
        plain.append(stats.spearmanr(np.nanmean(quality, axis=1), correct.mean(axis=1))[0])
    assert np.mean(weighted) > np.mean(plain) + 0.1
