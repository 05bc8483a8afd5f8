from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import auc

from audit.metrics import faithfulness as faith
from audit.metrics.perturbation import perturbation_curves
from tests.oracles import oracle

TENTHS = [i / 10 for i in range(11)]


def curves(score, images, maps, generator, **changes):
    return faith.removal_curves(
        score, images, maps, **({"fractions": TENTHS, "generator": generator} | changes)
    )


def test_both_orders_are_those_of_single_curves(score, images, maps, seeded):
    both = curves(score, images, maps.round(), seeded(), fill="noise")
    for order in ("morf", "lerf"):
        single = perturbation_curves(
            score,
            images,
            maps.round(),
            order=order,
            fill="noise",
            fractions=both.removed.tolist(),
            generator=seeded(),
        )
        torch.testing.assert_close(getattr(both, order), single)


def test_ends_are_scored_once(score, images, maps, seeded):
    found = curves(score, images, maps, seeded(), fractions=[0.2, 0.5, 0.5, 0.99])
    assert found.removed.tolist() == pytest.approx([0, 7 / 36, 0.5, 1])
    assert score.pictures == len(images) * (2 * 2 + 2)
    torch.testing.assert_close(found.full, score(images, torch.zeros(4)))
    mean = images.mean((2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(found.empty, score(mean, torch.zeros(4)))


@pytest.mark.parametrize("fractions", [[0.2, 0.5], [], [0.0, 1.0]], ids=str)
def test_several_maps_share_ends_and_have_the_curves_that_each_has_alone(
    fractions, score, images, maps, seeded
):
    several = [maps.round(), -maps, torch.zeros_like(maps)]
    common = {"fill": "noise", "fractions": fractions}
    shared = faith.shared_removal_curves(score, images, several, generator=seeded(), **common)
    inner = len([f for f in fractions if 0 < f < 1])
    assert score.pictures == len(images) * (2 * 3 * inner + 2)
    for one, found in zip(several, shared, strict=True):
        alone = curves(score, images, one, seeded(), **common)
        for name in ("removed", "morf", "lerf"):
            torch.testing.assert_close(getattr(found, name), getattr(alone, name))


def test_area_is_the_trapezoid_of_scikit_learn():
    x = torch.tensor([0.0, 0.1, 0.4, 0.8])
    y = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    wanted = [auc(x.numpy(), row.numpy()) / 0.8 for row in y]
    np.testing.assert_allclose(faith.area_under_curve(y, x), wanted, rtol=1e-5)
    torch.testing.assert_close(
        faith.deletion_auc(torch.full((2, 4), 0.3), x), torch.full((2,), 0.3)
    )


def test_gap_is_insertion_minus_deletion_and_turns_with_the_map(score, images, maps, seeded):
    found = curves(score, images, maps.round(), seeded())
    difference = faith.insertion_minus_deletion(found.insertion, found.deletion)
    torch.testing.assert_close(found.gap, difference)
    turned = curves(score, images, -maps.round(), seeded())
    assert torch.equal(found.gap, -turned.gap)
    assert (curves(score, images, torch.zeros_like(maps), seeded()).gap == 0).all()


def test_true_effects_are_the_best_map_of_a_linear_score(score, images, maps, seeded):
    """For a linear score and a fixed fill no order beats that of the patches' own effects."""
    filled = images.mean((2, 3), keepdim=True)
    effects = ((images - filled) * score.weight).sum(1)
    effects = effects.unflatten(1, (6, 4)).unflatten(3, (6, 4)).sum((2, 4))
    best = curves(score, images, effects, seeded())
    others = [curves(score, images, maps.roll(k, -1), seeded()).gap for k in range(6)]
    assert all((best.gap > other).all() for other in others)
    assert (best.insertion > best.deletion).all()


class TwoClasses(torch.nn.Module):
    """The score as the first of two outputs, for libraries that want a classifier."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, x):
        value = self.score(x.to(self.score.weight.dtype), torch.zeros(len(x)))
        return torch.stack([value, -value], -1)


def run_quantus(metric, score, images, maps, side=4):
    pixels = maps.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, None].float()
    return np.array(
        metric(
            model=TwoClasses(score).eval(),
            x_batch=images.float().numpy(),
            y_batch=np.zeros(len(images), dtype=int),
            a_batch=pixels.numpy(),
            softmax=False,
            channel_first=True,
        )
    )


@pytest.mark.parametrize("order", ["morf", "lerf"])
def test_quantus_region_perturbation_agrees(order, score, images, maps, seeded):
    quantus = oracle("quantus")
    metric = quantus.RegionPerturbation(
        patch_size=4,
        regions_evaluation=36,
        order=order,
        perturb_baseline=0.0,
        normalise=False,
        disable_warnings=True,
    )
    drops = run_quantus(metric, score, images, maps)
    found = perturbation_curves(
        score,
        images,
        maps,
        order=order,
        fill="dataset-mean",
        fractions=[k / 36 for k in range(37)],
        generator=seeded(),
    )
    np.testing.assert_allclose(found[:, :1] - found[:, 1:], drops, atol=1e-5)


def test_quantus_pixel_flipping_agrees(score, images, maps, seeded):
    quantus = oracle("quantus")
    pixels = torch.randn(4, 24, 24, generator=torch.Generator().manual_seed(6), dtype=maps.dtype)
    steps = {"features_in_step": 3 * 16, "perturb_baseline": 0.0}  # 16 pixels of three channels
    plain = {"normalise": False, "disable_warnings": True}
    curves_ = run_quantus(quantus.PixelFlipping(**steps, **plain), score, images, pixels, side=1)
    found = perturbation_curves(
        score,
        images,
        pixels,
        order="morf",
        fill="dataset-mean",
        fractions=[k / 36 for k in range(1, 37)],
        generator=seeded(),
    )
    np.testing.assert_allclose(found, curves_, atol=1e-5)


def test_quantus_monotonicity_never_inserts_anything(score, images, maps):
    """METRICS.md section 8: it writes the fill over the fill, so it approves of every map."""
    quantus = oracle("quantus")
    metric = quantus.Monotonicity(features_in_step=288, normalise=False, disable_warnings=True)
    assert run_quantus(metric, score, images, maps).all()
    assert run_quantus(metric, score, images, -maps).all()
