"""The minimal cut against every labelling, and what the segmentation finds."""

import itertools

import numpy as np
import pytest

from audit.metrics.graph_cut import (
    box_of,
    edges,
    filled_box,
    graph_cut,
    largest_component,
    minimal_cut,
    overlap,
    seeds,
)


def energy(labels, inside_cost, outside_cost, neighbors):
    total = int(np.where(labels, inside_cost, outside_cost).sum())
    total += int((neighbors[0][:, :-1] * (labels[:, :-1] != labels[:, 1:])).sum())
    return total + int((neighbors[1][:-1] * (labels[:-1] != labels[1:])).sum())


@pytest.mark.parametrize("seed", range(6))
def test_a_cut_has_the_least_energy_of_all_labellings(seed):
    rng = np.random.default_rng(seed)
    shape = (3, 3)
    costs = [rng.integers(0, 2_000, shape) for _ in range(2)]
    neighbors = edges(rng.uniform(size=(*shape, 3)))
    inside, outside = np.zeros(shape, bool), np.zeros(shape, bool)
    inside[0, 0] = outside[2, 2] = True
    found = minimal_cut(*costs, neighbors, inside, outside)
    assert found[0, 0]
    assert not found[2, 2]
    allowed = [
        labels
        for bits in itertools.product([False, True], repeat=9)
        if (labels := np.array(bits).reshape(shape))[0, 0] and not labels[2, 2]
    ]
    free = ~(inside | outside)  # seeds pay nothing for their own side
    costs = [cost * free for cost in costs]
    best = min(energy(labels, *costs, neighbors) for labels in allowed)
    assert energy(found, *costs, neighbors) == best


def test_neighbors_pay_more_the_nearer_their_colors():
    picture = np.zeros((1, 3, 3))
    picture[0, 2] = 1.0
    right, below = edges(picture)
    assert right[0, 0] == 4_000  # alike
    assert right[0, 1] == round(4_000 * np.exp(-3 / (2 * 1.5)))  # d^2 = 3, its mean 1.5
    assert right[0, 2] == 0
    assert not below.any()


def test_a_disk_is_found_from_a_few_seeds():
    rows, columns = np.mgrid[:40, :50]
    disk = (rows - 18) ** 2 + (columns - 30) ** 2 < 100
    noise = np.random.default_rng(0).normal(0, 0.05, (40, 50, 3))
    picture = np.where(disk[..., None], (0.9, 0.2, 0.1), (0.2, 0.5, 0.6)) + noise
    heat = np.exp(-((rows - 16) ** 2 + (columns - 31) ** 2) / 200)
    inside, outside = seeds(heat)
    found = largest_component(graph_cut(picture.clip(0, 1), inside, outside))
    assert overlap(found, disk) > 0.97
    left, top, right, bottom = box_of(found)
    assert np.abs(np.array([left, top, right, bottom]) - box_of(disk)).max() <= 1
    assert overlap(heat > np.quantile(heat, 0.95), disk) < 0.5  # what the map alone would give


def test_seeds_are_quantiles_and_an_even_map_has_none():
    heat = np.arange(100.0).reshape(10, 10)
    inside, outside = seeds(heat)
    assert (inside.sum(), outside.sum()) == (5, 30)
    with pytest.raises(ValueError, match="an even map tells neither"):
        graph_cut(np.zeros((10, 10, 3)), *seeds(np.ones((10, 10))))


def test_components_boxes_and_overlaps():
    mask = np.zeros((6, 7), bool)
    mask[0, 0] = True
    mask[2:5, 3:5] = True
    largest = largest_component(mask)
    assert largest.sum() == 6
    assert box_of(largest) == (3, 2, 5, 5)
    assert filled_box((3, 2, 5, 5), mask.shape).sum() == 6
    assert overlap(mask, largest) == 6 / 7
    assert box_of(np.zeros((2, 2), bool)) is None
    assert overlap(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 0.0
    assert not largest_component(np.zeros((2, 2), bool)).any()
