from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from audit.metrics import localization as loc
from tests.oracles import oracle

BY_ORDER = [loc.average_precision, loc.pointing_game, loc.relevance_rank_accuracy]
CHANCE_IS_AREA = [*BY_ORDER, loc.energy_in_mask]


def loop_rank_accuracy(values, truth):
    """Expected hits of the top K over random orders of ties, one value at a time."""
    k, hits = truth.sum(), 0.0
    for v, t in zip(values, truth, strict=True):
        above, tied = (values > v).sum(), (values == v).sum()
        hits += t * min(max((k - above) / tied, 0), 1)
    return hits / k


def loop_pointing(grid, truth, tolerance):
    hits, places = 0, np.argwhere(grid == grid.max())
    for y, x in places:
        hits += any(math.hypot(y - b, x - a) <= tolerance for b, a in np.argwhere(truth))
    return hits / len(places)


def random_average_precision(masks):
    """What maps without ties score on average over all random orders (Bestgen 2015)."""
    truth = masks.double().flatten(1)
    n, area = truth.shape[-1], truth.sum(-1, keepdim=True)
    own = sum(1 / k for k in range(1, n + 1)) / n
    precision = own * truth + (1 - own) * (area - truth) / (n - 1)
    return (truth / area * precision).sum(-1)


def widened_area(mask, radius):
    """Share of the places from which the mask is not further away than a radius."""
    places = np.argwhere(np.ones_like(mask))
    near = [any(math.dist(place, one) <= radius for one in np.argwhere(mask)) for place in places]
    return float(np.mean(near))


def test_average_precision_is_that_of_scikit_learn(tied_maps, masks):
    found = loc.average_precision(tied_maps, masks)
    wanted = [
        average_precision_score(k.flatten(), m.flatten())
        for m, k in zip(tied_maps.numpy(), masks.numpy(), strict=True)
    ]
    assert found.dtype == tied_maps.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_average_precision_is_that_of_torchmetrics_where_there_are_no_ties(masks):
    torchmetrics = oracle("torchmetrics.functional.classification")
    maps = torch.rand(masks.shape, generator=torch.Generator().manual_seed(0))
    wanted = [
        torchmetrics.binary_average_precision(m.flatten(), k.flatten().long())
        for m, k in zip(maps, masks, strict=True)
    ]
    torch.testing.assert_close(loc.average_precision(maps, masks), torch.stack(wanted))


def test_fractional_mask_gives_the_value_in_pixels(tied_maps, dtype):
    pixels = torch.rand(6, 32, 36, generator=torch.Generator().manual_seed(0)) < 0.3
    on_grid = loc.mask_on_grid(pixels, (8, 9), dtype)
    enlarged = tied_maps.repeat_interleave(4, 1).repeat_interleave(4, 2)
    for measure in CHANCE_IS_AREA:
        torch.testing.assert_close(
            measure(tied_maps, on_grid), measure(enlarged, pixels), rtol=1e-4, atol=1e-5
        )


def test_rank_accuracy_and_pointing_game_are_those_of_slow_loops(tied_maps, masks):
    ranked = loc.relevance_rank_accuracy(tied_maps, masks)
    wanted = [
        loop_rank_accuracy(m.flatten(), k.flatten())
        for m, k in zip(tied_maps.numpy(), masks.numpy(), strict=True)
    ]
    np.testing.assert_allclose(ranked, wanted, rtol=1e-5)
    for tolerance in (0.0, 1.0, 1.5, 2.3, 20.0):
        pointed = loc.pointing_game(tied_maps, masks, tolerance)
        wanted = [
            loop_pointing(m, k, tolerance)
            for m, k in zip(tied_maps.numpy(), masks.numpy(), strict=True)
        ]
        np.testing.assert_allclose(pointed, wanted, rtol=1e-5)


def test_energy_counts_positive_relevance_only(masks):
    maps = masks.double() * 3 + (~masks).double() - 2
    assert (loc.energy_in_mask(maps, masks) == 1).all()
    inside = masks.flatten(1).double().mean(-1)
    torch.testing.assert_close(
        loc.energy_in_mask(maps + 3, masks), 4 * inside / (4 * inside + 2 * (1 - inside))
    )


@pytest.mark.parametrize("constant", [0.1, 0.0, -3.0])
@pytest.mark.parametrize("measure", CHANCE_IS_AREA)
def test_constant_map_scores_the_area(measure, constant, masks, dtype):
    maps = torch.full(masks.shape, constant, dtype=dtype)
    torch.testing.assert_close(measure(maps, masks), loc.prevalence(masks.to(dtype)))


def test_constant_map_is_at_zero_once_chance_is_taken_off(masks):
    maps = torch.full(masks.shape, 0.3)
    for measure in (loc.chance_corrected_average_precision, loc.energy_gain):
        torch.testing.assert_close(measure(maps, masks), torch.zeros(6), atol=1e-6, rtol=0)
    wanted = [widened_area(mask, 2.0) for mask in masks.numpy()]
    np.testing.assert_allclose(loc.pointing_game(maps, masks, 2.0), wanted, rtol=1e-5)


@pytest.mark.parametrize("measure", [*CHANCE_IS_AREA, loc.chance_corrected_average_precision])
def test_the_mask_itself_scores_one(measure, masks, dtype):
    torch.testing.assert_close(measure(masks.to(dtype), masks), torch.ones(6, dtype=dtype))


def test_random_maps_score_chance_on_average():
    maps = torch.rand(4000, 8, 8, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(4000, 8, 8, dtype=torch.bool)
    masks[:, 2:6, 1:4] = True
    area = 12 / 64
    for measure in (loc.energy_in_mask, loc.pointing_game, loc.relevance_rank_accuracy):
        values = measure(maps, masks)
        assert abs(values.mean() - area) < 4 * values.std() / math.sqrt(4000)
    values = loc.average_precision(maps, masks)
    wanted = random_average_precision(masks)[0]
    assert area + 0.03 < wanted < area + 0.06
    assert abs(values.mean() - wanted) < 4 * values.std() / math.sqrt(4000)
    shares = loc.mask_on_grid(
        torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.3, (8, 8)
    ).expand(4000, 8, 8)
    values, wanted = loc.average_precision(maps, shares), random_average_precision(shares)[0]
    assert abs(values.mean() - wanted) < 4 * values.std() / math.sqrt(4000)


@pytest.mark.parametrize("measure", CHANCE_IS_AREA)
def test_no_mask_full_mask_and_nan_have_no_answer(measure):
    maps = torch.rand(4, 3, 3, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(4, 3, 3)
    masks[1], masks[2, 0], masks[3, 0] = 1, 1, 1
    maps[3, 2, 2] = torch.nan
    assert measure(maps, masks).isnan().tolist() == [True, True, False, True]


def test_other_grid_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"maps \(2, 3, 3\).*mask_on_grid"):
        inspect.unwrap(loc.flat_maps_and_masks)(torch.rand(2, 3, 3), torch.ones(2, 6, 6))


grids = hnp.arrays(np.float64, (1, 4, 5), elements=st.integers(-3, 3).map(float))
outlines = hnp.arrays(np.bool_, (1, 4, 5)).filter(lambda m: 0 < m.sum() < m.size)


@given(grids, outlines, st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_order_measures_see_neither_scale_nor_the_place_of_patches(grid, outline, seed):
    maps, masks = torch.from_numpy(grid), torch.from_numpy(outline)
    perm = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    for measure in BY_ORDER:
        value = measure(maps, masks)
        assert torch.equal(value, measure(torch.exp(maps) * 5 - 7, masks))
        moved = [x.flatten(1)[:, perm].view(1, 4, 5) for x in (maps, masks)]
        torch.testing.assert_close(value, measure(*moved))
        assert 0 <= value.item() <= 1 + 1e-9


def test_quantus_agrees_where_nothing_is_tied_and_not_on_ties(masks):
    quantus = oracle("quantus")
    maps = torch.rand(masks.shape, generator=torch.Generator().manual_seed(0))
    settings_ = {"abs": False, "normalise": False, "disable_warnings": True}
    ranked = run_quantus(quantus.RelevanceRankAccuracy(**settings_), maps, masks)
    np.testing.assert_allclose(loc.relevance_rank_accuracy(maps, masks), ranked, rtol=1e-5)
    mass = run_quantus(quantus.RelevanceMassAccuracy(**settings_), maps, masks)
    np.testing.assert_allclose(loc.energy_in_mask(maps, masks), mass, rtol=1e-5)
    pointed = run_quantus(quantus.PointingGame(**settings_), maps, masks)
    np.testing.assert_array_equal(loc.pointing_game(maps, masks).bool(), pointed)
    # A constant map tells nothing, yet Quantus gives it a sure hit.
    constant = torch.ones(masks.shape)
    assert all(run_quantus(quantus.PointingGame(**settings_), constant, masks))
    assert (loc.pointing_game(constant, masks) < 0.5).all()


def run_quantus(metric, maps, masks):
    return metric.evaluate_batch(
        x_batch=np.repeat(maps[:, None].numpy(), 3, 1),
        a_batch=maps[:, None].numpy(),
        s_batch=masks[:, None].numpy(),
        y_batch=np.zeros(len(maps), dtype=int),
        model=None,
    )
