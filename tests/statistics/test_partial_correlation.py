"""A rank correlation with covariates held fixed, against its other definitions."""

import numpy as np
import pytest
from scipy import stats

from audit.statistics.correlation import spearman_interval
from audit.statistics.partial_correlation import (
    left_reliability,
    partial_permutation,
    partial_spearman,
)


@pytest.mark.parametrize("covariates", [1, 3])
def test_it_is_that_of_the_inverse_of_the_rank_correlations(covariates):
    """The partial correlation of two of several variables, by the precision matrix."""
    rng = np.random.default_rng(covariates)
    rows = rng.normal(size=(2 + covariates, 2 + covariates)) @ rng.normal(size=(2 + covariates, 60))
    inverse = np.linalg.inv(stats.spearmanr(rows.T).statistic if covariates > 0 else np.eye(2))
    expected = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
    found = partial_spearman(rows[0], rows[1], list(rows[2:]))
    assert found.value == pytest.approx(expected)
    fewer = spearman_interval(np.arange(60 - covariates), np.arange(60 - covariates))
    z = np.arctanh([found.low, found.value, found.high])
    assert z[2] - z[1] == pytest.approx(z[1] - z[0])
    assert fewer.n == 60 - covariates
    reach = stats.norm.ppf(0.975) * np.sqrt(1.06 / (60 - covariates - 3))
    assert z[2] - z[1] == pytest.approx(reach)


def test_without_covariates_that_vary_it_is_the_plain_one():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    for given in ([], [np.full(30, 4.0)]):
        found, plain = partial_spearman(x, y, given), spearman_interval(x, y)
        assert [found.value, found.low, found.high] == pytest.approx(
            [plain.value, plain.low, plain.high]
        )


def test_what_follows_a_covariate_alone_follows_nothing():
    x = np.arange(12.0)
    assert partial_spearman(x, x[::-1] ** 2 + 1, [x]).n == 12
    assert np.isnan(partial_spearman(x, x, [x]).value)
    y = np.random.default_rng(0).normal(size=12)
    found = partial_spearman(x, y, [np.exp(x)])
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert np.isnan(partial_spearman(y[:6], x[:6], [y[6:], x[6:] ** -1.0]).low)


def test_no_relation_beside_a_shared_cause_is_found_at_the_stated_rate():
    rng, runs, n = np.random.default_rng(1), 2000, 24
    above = small = 0
    for i in range(runs):
        cause = rng.normal(size=(2, n))
        x, y = cause.sum(0) / 2 + rng.normal(size=(2, n))
        found = partial_spearman(x, y, list(cause), level=0.9)
        above += found.above(0.0) or found.below(0.0)
        if i < 200:
            small += partial_permutation(x, y, list(cause), rng=rng) <= 0.1
    limits = [stats.binom.ppf([0.001, 0.999], k, 0.1) for k in (runs, 200)]
    assert limits[0][0] <= above <= limits[0][1]
    assert limits[1][0] <= small <= limits[1][1]


def test_reliability_of_what_is_left_is_that_of_simulated_values():
    rng, n = np.random.default_rng(2), 40_000
    cause, own, *noise = rng.normal(size=(4, n))
    true = cause + own
    one, other = (true + 0.8 * e for e in noise)
    reliability = float(np.corrcoef(one, other)[0, 1])
    left = [e - np.polyval(np.polyfit(cause, e, 1), cause) for e in (one, other)]
    expected = float(np.corrcoef(left)[0, 1])
    assert left_reliability(reliability, one, [cause]) == pytest.approx(expected, abs=0.03)
    assert expected < reliability - 0.1
    assert left_reliability(1.0, true, [cause]) == 1.0
    assert left_reliability(0.9, cause, [cause]) == -np.inf
    assert np.isnan(left_reliability(np.nan, one, [cause]))
