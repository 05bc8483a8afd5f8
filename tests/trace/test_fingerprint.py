import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.trace.fingerprint import fingerprint, matches, row_views

TOLERANCE = 2e-5


def _match(one, other, *, ordered=False):
    order = np.array([ordered])
    return bool(matches(fingerprint(one), fingerprint(other), TOLERANCE, order)[0, 0])


def test_moments_are_those_of_numpy():
    x = torch.randn(3, 50, dtype=torch.float64)
    a = x.numpy()
    expected = np.stack(
        [a.sum(1), abs(a).sum(1), (a**2).sum(1), (a**3).sum(1), (abs(a) ** 3).sum(1)], 1
    )
    np.testing.assert_allclose(fingerprint(x)[:, :5], expected)
    assert (fingerprint(x)[:, 5] == 50).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(4, 300))
def test_order_counts_only_where_it_is_asked_for(seed, length):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, length, generator=generator)
    moved = x.roll(1, 1)
    assert _match(x, moved)
    assert not _match(x, moved, ordered=True)
    assert _match(x, x.clone(), ordered=True)


def test_rounding_matches_and_one_part_in_a_thousand_does_not():
    x = torch.randn(1, 200)
    assert _match(x, x * (1 + 1e-6 * torch.randn(1, 200)), ordered=True)
    assert not _match(x, 1.001 * x)
    assert not _match(x, -x)


def test_length_counts():
    assert not _match(torch.zeros(1, 3), torch.zeros(1, 4))


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a,
        lambda a: a.flatten(0, 1),
        lambda a: a.movedim(0, 1),
        lambda a: a.movedim(1, -1),
    ],
)
def test_some_view_of_every_layout_holds_the_rows(layout):
    a = torch.rand(3, 4, 5, 6)
    rows = fingerprint(a.flatten(1))
    views = row_views(layout(a), frozenset({4}))
    assert any(
        len(v) == 3 and matches(fingerprint(v), rows, TOLERANCE).diagonal().all() for v in views
    )


@pytest.mark.parametrize("count", [7, 255, 256, 1000, 145 * 145])
def test_sums_of_many_single_precision_values_lose_far_less_than_a_match_allows(count):
    x = torch.randn(40, count, generator=torch.Generator().manual_seed(count))
    x[:10], x[10:20] = x[:10].softmax(-1), x[10:20].abs() + 100
    found, exact = fingerprint(x), fingerprint(x.double())
    magnitude = x.double().abs()
    sizes = [magnitude**k for k in (1, 1, 2, 3, 3)]
    for column, size in enumerate(sizes):
        allowed = 1e-6 * size.square().sum(-1).sqrt().numpy()
        assert (abs(found[:, column] - exact[:, column]) < allowed).all()
