"""Maps as sums of maps, and disagreement, against statements that try every case."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audit.metrics.composition import decomposed, disagreement


def maps(seed, count=3, shape=(3, 4)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


def slow_weights(whole, parts):
    """The best weights of at least 0: the best over every subset of parts that may be used."""
    unit = [x / x.norm() for x in (whole, *parts)]
    target, columns = unit[0].flatten().numpy(), np.stack([u.flatten().numpy() for u in unit[1:]])
    best, found = np.inf, np.zeros(len(parts))
    for size in range(len(parts) + 1):
        for used in itertools.combinations(range(len(parts)), size):
            weights = np.zeros(len(parts))
            if used:
                weights[list(used)] = np.linalg.lstsq(columns[list(used)].T, target, rcond=None)[0]
            error = np.linalg.norm(target - weights @ columns)
            if (weights >= 0).all() and error < best:
                best, found = error, weights
    return found, 1 - best**2


@pytest.mark.parametrize("seed", range(8))
def test_weights_are_the_best_over_every_subset_of_parts(seed):
    whole, *parts = maps(seed, 4)
    found = decomposed(whole, parts)
    weights, explained = slow_weights(whole, parts)
    assert found.weights == pytest.approx(weights, abs=1e-9)
    assert found.explained == pytest.approx(explained, abs=1e-9)


@given(st.integers(0, 99), st.floats(0.1, 5.0), st.floats(0.1, 5.0))
def test_a_sum_is_found_whatever_the_scales(seed, first, second):
    one, other = maps(seed, 2)
    one, other = one / one.norm(), other / other.norm()
    whole = first * one + second * other
    found = decomposed(7 * whole, [3 * one, 0.1 * other])
    length = float(whole.norm())
    assert found.weights == pytest.approx((first / length, second / length), rel=1e-6)
    assert found.explained == pytest.approx(1.0)
    assert float(found.rest.abs().max()) < 1e-9


def test_what_no_part_has_is_left():
    part = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    whole = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    found = decomposed(whole, [part])
    assert found.weights == pytest.approx((0.6,))
    assert found.explained == pytest.approx(0.36)
    torch.testing.assert_close(found.rest, torch.tensor([[0.0, 0.0], [0.0, 0.8]]).double())
    assert decomposed(part, [-part]).weights == (0.0,)
    assert decomposed(torch.zeros(2, 2), [part]).explained == 1.0


def test_disagreement_is_the_spread_of_ranks():
    one = torch.arange(5.0).reshape(1, 5)
    assert float(disagreement(torch.stack([one, one**3])).max()) == 0.0
    turned = disagreement(torch.stack([one, -one]))
    torch.testing.assert_close(turned, torch.tensor([[0.5, 0.25, 0.0, 0.25, 0.5]]))
    tied = disagreement(torch.stack([one, torch.zeros_like(one)]))
    torch.testing.assert_close(tied, torch.tensor([[0.25, 0.125, 0.0, 0.125, 0.25]]))
