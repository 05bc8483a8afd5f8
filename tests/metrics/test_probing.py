"""Each family gives what its rows promise, by the counted passes, whatever was asked before."""

from __future__ import annotations

import pytest
import torch

from audit.metrics.probing import FAMILIES, Probe
from audit.metrics.quality_table import MEASURES

SPREAD = (0.25, 0.25, 0.25)


@pytest.fixture
def probe(score, images):
    return probe_of(score, images)


def probe_of(score, images, batch_size=128, seed=0):
    return Probe(
        score=score,
        probability=lambda x, i: (20 * score(x, i)).sigmoid(),
        right=lambda x, i: (score(x, i) > 0).to(x),
        images=images,
        grid=(6, 6),
        mean=(0.5, 0.5, 0.5),
        std=SPREAD,
        seed=seed,
        batch_size=batch_size,
    )


def explain(images):
    return images.square().mean(1).unflatten(1, (6, 4)).unflatten(3, (6, 4)).mean((2, 4))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_measures_its_rows(family, probe, maps):
    found = FAMILIES[family](probe, maps, explain)
    assert set(found) == {one.name for one in MEASURES if one.family == family}
    for values in found.values():
        assert values.shape == (4,)
        assert values.isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_values_depend_on_the_seed_alone(family, score, images, maps):
    whole = FAMILIES[family](probe_of(score, images), maps, explain)
    small = probe_of(score, images, batch_size=7)
    for other in FAMILIES:
        FAMILIES[other](small, -maps, explain)
    again = FAMILIES[family](small, maps, explain)
    for name, values in whole.items():
        torch.testing.assert_close(values, again[name], rtol=1e-4, atol=1e-5)


def test_the_order_of_effects_is_best_by_every_measure_of_faithfulness(probe, score, images):
    effects = (images - images.mean((2, 3), keepdim=True)) * score.weight
    effects = effects.sum(1).unflatten(1, (6, 4)).unflatten(3, (6, 4)).sum((2, 4))
    for family in ("removal", "every-count", "subsets"):
        good, bad = (FAMILIES[family](probe, m, explain) for m in (effects, -effects))
        for one in MEASURES:
            if one.family == family:
                sign = 1 if one.better == "higher" else -1
                assert (sign * (good[one.name] - bad[one.name]) > 0).all(), one.name


def test_what_all_maps_share_is_measured_once(score, images, maps):
    probe = probe_of(score, images)
    FAMILIES["subsets"](probe, maps, explain)
    before = score.pictures
    assert before == 4 * 51
    FAMILIES["subsets"](probe, -maps, explain)
    assert score.pictures == before
    FAMILIES["aim"](probe, maps, explain)
    middle = score.pictures
    FAMILIES["aim"](probe, -maps, explain)
    assert score.pictures - middle == middle - before - 4 * 10  # ten gradients a picture, once


def test_the_counterpart_moves_pixels_by_eight_of_255(probe, images):
    moved = (probe.counterpart.pictures - images).abs().amax((0, 2, 3)) * torch.tensor(SPREAD)
    torch.testing.assert_close(moved.float(), torch.full((3,), 8 / 255), rtol=1e-3, atol=1e-5)
