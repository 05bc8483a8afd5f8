from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from audit.metrics.ranking import average_ranks, top_weights
from audit.metrics.similarity import pearson, relative_l2, spearman, top_overlap
from tests.oracles import oracle

rows = hnp.arrays(np.float64, (2, 3, 7), elements=st.integers(-4, 4).map(float))


@given(rows)
@settings(deadline=None, max_examples=60)
def test_ranks_and_correlations_are_those_of_scipy(pair):
    x, y = torch.from_numpy(pair)
    np.testing.assert_array_equal(average_ranks(x), stats.rankdata(pair[0], axis=1))
    for ours, theirs in ((spearman, stats.spearmanr), (pearson, stats.pearsonr)):
        for a, b, value in zip(pair[0], pair[1], ours(x, y).tolist(), strict=True):
            if np.ptp(a) == 0 or np.ptp(b) == 0:
                assert np.isnan(value)
            else:
                np.testing.assert_allclose(value, theirs(a, b)[0], atol=1e-12)


@given(rows, st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_top_weights_sum_to_their_count_and_treat_ties_alike(pair, share):
    x = torch.from_numpy(pair[0])
    weights = top_weights(x, torch.full((3,), share * 7, dtype=x.dtype))
    torch.testing.assert_close(weights.sum(-1), torch.full((3,), share * 7, dtype=x.dtype))
    for values, w in zip(x, weights, strict=True):
        assert all(len(set(w[values == v].tolist())) == 1 for v in values.unique())


def test_correlation_survives_scale_and_offset():
    x = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(0))
    y = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(pearson(x * 1e-25, y * 1e25), pearson(x, y))
    torch.testing.assert_close(spearman(x, y), spearman(x.exp(), -1 / (1 + y)))
    assert pearson(torch.full((1, 9), 0.1), torch.rand(1, 9)).isnan().all()
    x[0, 0, 0] = torch.nan
    assert spearman(x, y).isnan().tolist() == [True, False, False]


def test_relative_l2_of_equal_zero_and_scaled_maps():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    y = torch.tensor([[3.3, 4.4], [0.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(relative_l2(x, y), torch.tensor([0.1, 0.0, torch.inf]))


def test_top_overlap_of_same_disjoint_and_random_maps():
    up = torch.arange(100.0)[None]
    assert top_overlap(up, up) == 1
    assert top_overlap(up, -up) == 0
    g = torch.Generator().manual_seed(0)
    values = top_overlap(torch.rand(3000, 100, generator=g), torch.rand(3000, 100, generator=g))
    assert abs(values.mean() - 0.053) < 0.005


def test_correlations_are_those_of_torchmetrics():
    regression = oracle("torchmetrics.functional.regression")
    g = torch.Generator().manual_seed(0)
    x = (torch.rand(5, 6, 7, generator=g, dtype=torch.float64) * 5).round()  # with ties
    y = x + torch.rand(5, 6, 7, generator=g, dtype=torch.float64)
    columns = x.flatten(1).T, y.flatten(1).T
    wanted = regression.pearson_corrcoef(*columns), regression.spearman_corrcoef(*columns)
    np.testing.assert_allclose(pearson(x, y), wanted[0], atol=1e-6)
    np.testing.assert_allclose(spearman(x, y), wanted[1], atol=1e-6)


def test_top_overlap_is_the_jaccard_index_of_torchmetrics():
    classification = oracle("torchmetrics.functional.classification")
    x, y = torch.rand(2, 4, 50, generator=torch.Generator().manual_seed(0))
    top_x, top_y = ((m >= m.sort(-1).values[:, -10:-9]).long() for m in (x, y))
    wanted = [classification.binary_jaccard_index(a, b) for a, b in zip(top_x, top_y, strict=True)]
    torch.testing.assert_close(top_overlap(x, y, 0.2), torch.stack(wanted))
