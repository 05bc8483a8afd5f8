"""How maps are related, against statements that loop over pairs and places."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audit.metrics.map_relation import (
    Related,
    Relation,
    largest_difference,
    may_be_related,
    mean_rank_correlation,
    relation_of,
    rounding_of,
    still_related,
    weakest,
)

EXACT = 1e-10


def maps(seed=0, pairs=3, places=9):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(pairs, places, generator=generator, dtype=torch.float64)


def slow_relation(one, other, tolerance):
    """The closest relation by its definition, a place at a time."""
    factors, offsets, ordered = True, True, True
    equal = True
    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        span = max(max(a) - min(a), max(b) - min(b))
        equal &= all(abs(x - y) <= tolerance * span for x, y in zip(a, b, strict=True))
        factor = sum(x * y for x, y in zip(a, b, strict=True)) / sum(y * y for y in b)
        factors &= factor > 0 and all(
            abs(x - factor * y) <= tolerance * span * max(1, factor)
            for x, y in zip(a, b, strict=True)
        )
        p, q = ([x - sum(v) / len(v) for x in v] for v in (a, b))
        factor = sum(x * y for x, y in zip(p, q, strict=True)) / sum(y * y for y in q)
        offsets &= factor > 0 and all(
            abs(x - factor * y) <= tolerance * span * max(1, factor)
            for x, y in zip(p, q, strict=True)
        )
        for i, j in itertools.permutations(range(len(a)), 2):
            ordered &= (a[i] > a[j]) == (b[i] > b[j])
    for holds, relation in (
        (equal, Relation.EQUAL),
        (factors, Relation.SCALE),
        (offsets, Relation.AFFINE),
        (ordered, Relation.RANKING),
    ):
        if holds:
            return relation
    return Relation.NONE


CASES = {
    "itself": (lambda x: x, Relation.EQUAL),
    "rounded": (lambda x: x * (1 + 1e-14), Relation.EQUAL),
    "factor": (lambda x: 3 * x, Relation.SCALE),
    "a factor of each pair": (lambda x: x * torch.tensor([[1.0], [2.0], [5.0]]), Relation.SCALE),
    "to [0, 1]": (lambda x: (x - x.amin(1, True)) / (x.amax(1, True) - x.amin(1, True)),
                  Relation.AFFINE),
    "cubed": (lambda x: x**3, Relation.RANKING),
    "exponential": (torch.exp, Relation.RANKING),
    "negative": (lambda x: -x, Relation.NONE),
    "cut off": (lambda x: x.relu(), Relation.NONE),
    "nearly": (lambda x: x + 1e-6 * maps(7), Relation.NONE),
    "other": (lambda x: maps(8), Relation.NONE),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_relation_is_that_of_its_definition(case, seed):
    change, expected = CASES[case]
    one = maps(seed)
    other = change(one)
    if case == "nearly":  # smaller than any step between places
        assert relation_of(one, other, EXACT).relation in {Relation.RANKING, Relation.NONE}
        assert relation_of(one, other, EXACT).residual > 1e-8
        return
    assert relation_of(one, other, EXACT).relation is expected
    assert slow_relation(one, other, EXACT) is expected


@given(st.integers(0, 1000), st.floats(0.01, 100.0), st.floats(-5.0, 5.0))
def test_a_relation_holds_both_ways(seed, factor, offset):
    one = maps(seed)
    for other in (factor * one, factor * one + offset, one.exp(), maps(seed + 1)):
        there, back = relation_of(one, other, EXACT), relation_of(other, one, EXACT)
        assert there.relation is back.relation


def test_one_pair_that_differs_is_enough():
    one = maps()
    other = one.clone()
    other[2, 4] += 1e-6
    assert relation_of(one, other, EXACT).relation in {Relation.RANKING, Relation.NONE}
    other[2] = -other[2]
    assert relation_of(one, other, EXACT).relation is Relation.NONE


def test_even_maps_tell_nothing():
    even = torch.ones(3, 9, dtype=torch.float64)
    assert relation_of(even, even, EXACT) == Related(Relation.NONE, 0.0, 0)
    some = maps()
    some[1] = 0.0
    assert relation_of(some, some, EXACT) == Related(Relation.EQUAL, 0.0, 2)
    assert relation_of(some, 2 * some, EXACT).relation is Relation.SCALE
    other = some.clone()
    other[1] = maps(3)[1]
    assert relation_of(some, other, EXACT).relation is Relation.NONE


def test_the_weakest_of_several_models_counts_and_even_maps_do_not():
    equal, scale = Related(Relation.EQUAL, 1e-15, 3), Related(Relation.SCALE, 1e-14, 2)
    silent = Related(Relation.NONE, 0.5, 0)
    assert weakest([equal, scale]) == Related(Relation.SCALE, 1e-14, 5)
    assert weakest([equal, silent]) == equal
    assert weakest([silent]) == Related(Relation.NONE, 0.5, 0)


def test_rounding_is_that_of_the_coarser_map():
    one = maps()
    assert rounding_of(one, one) == 1e-10
    assert rounding_of(one, one.float()) == 1e-5
    assert rounding_of(one.bfloat16(), one) == 5e-2


def test_what_a_coarser_precision_contradicts():
    one = maps()
    near = one + 1e-5 * maps(5)
    assert still_related(one, near, Relation.EQUAL)
    assert not still_related(one, near, Relation.NONE)
    assert not still_related(one, one + 0.1 * maps(5), Relation.EQUAL)
    assert still_related(one, one.exp(), Relation.RANKING)
    assert not still_related(one, one.exp(), Relation.SCALE)
    assert may_be_related(one, 2 * one + 1)
    assert not may_be_related(one, maps(5))


def test_differences_and_ranks():
    one = torch.tensor([[0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 0.0, 1.0]])
    other = one.clone()
    other[0, 3] = 3.0
    assert largest_difference(one, other) == 0.25
    assert mean_rank_correlation(one, other) == pytest.approx(1.0)
    even = torch.ones(1, 4)
    assert mean_rank_correlation(even, even) != mean_rank_correlation(even, even)
