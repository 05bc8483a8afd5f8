from __future__ import annotations

import numpy as np
import pytest
import torch

from audit.metrics.complexity import sparseness
from tests.oracles import oracle


def loop(values):
    """Gini index by its definition: mean difference of all pairs over twice the mean."""
    sizes = np.abs(values).ravel()
    return np.abs(sizes[:, None] - sizes).mean() / (2 * sizes.mean())


def test_sparseness_is_the_gini_index_by_its_definition(maps):
    np.testing.assert_allclose(sparseness(maps), [loop(m) for m in maps.numpy()], rtol=1e-5)


def test_quantus_agrees_to_what_it_adds(maps):
    quantus = oracle("quantus")
    metric = quantus.Sparseness(disable_warnings=True, display_progressbar=False, normalise=False)
    pictures = np.zeros((len(maps), 1, *maps.shape[1:]), np.float32)
    found = metric(
        model=torch.nn.Identity(),
        x_batch=pictures,
        y_batch=np.zeros(len(maps), int),
        a_batch=maps.float().numpy()[:, None],
        device="cpu",
    )
    np.testing.assert_allclose(sparseness(maps), found, atol=1e-4)


def test_ends_of_the_range():
    one = torch.zeros(1, 5, 5)
    assert sparseness(one) == 0
    assert sparseness(one + 3) == pytest.approx(0, abs=1e-6)
    one[0, 2, 2] = -4
    assert sparseness(one) == pytest.approx(1 - 1 / 25)
    assert torch.equal(sparseness(one), sparseness(-one))
