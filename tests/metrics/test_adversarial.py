from __future__ import annotations

import pytest
import torch

from audit.metrics.adversarial import adversarial_counterpart
from audit.metrics.faithfulness import removal_curves
from audit.metrics.fills import Counterpart

REACH = torch.tensor([0.1, 0.2, 0.3])[:, None, None]


def test_a_linear_score_falls_as_far_as_the_reach_allows(score, images, dtype):
    reach = REACH.to(dtype)
    found = adversarial_counterpart(score, images, reach, batch_size=3)
    torch.testing.assert_close(found, images - reach * score.weight.sign(), rtol=1e-4, atol=1e-5)
    pair = torch.zeros(4)
    fall = score(images, pair) - score(found, pair)
    torch.testing.assert_close(
        fall, (reach * score.weight.abs()).mean().expand(4), rtol=1e-3, atol=1e-5
    )


def test_the_steps_are_those_of_a_slow_loop():
    g = torch.Generator().manual_seed(0)
    images, weight = (torch.randn(3, 3, 8, 8, generator=g, dtype=torch.float64) for _ in range(2))

    def bent(pictures, pair):
        return (pictures * weight[pair]).mean((1, 2, 3)).tanh() + pictures.square().mean((1, 2, 3))

    reach = REACH.double()
    found = adversarial_counterpart(bent, images, reach, steps=4, batch_size=2)
    for i in range(3):
        one = images[i : i + 1].clone()
        for _ in range(4):
            mean = (one * weight[i]).mean()
            slope = (1 - mean.tanh() ** 2) * weight[i] / 192 + 2 * one / 192
            one = one - reach / 4 * slope.sign()
        torch.testing.assert_close(found[i : i + 1], one)


def test_nothing_is_clamped_and_nothing_moves_further_than_the_reach(score, images, dtype):
    far = images * 50
    found = adversarial_counterpart(score, far, REACH.to(dtype))
    assert ((found - far).abs() <= REACH.to(dtype) * 1.001 + 1e-4).all()
    assert found.abs().max() > 10


def test_the_pictures_given_stay_as_they_are(score, images, dtype):
    before = images.clone()
    found = adversarial_counterpart(score, images, REACH.to(dtype))
    assert torch.equal(images, before)
    assert not found.requires_grad


def test_the_emptied_picture_is_the_counterpart(score, images, maps, seeded, dtype):
    other = Counterpart(adversarial_counterpart(score, images, REACH.to(dtype)))
    found = removal_curves(score, images, maps, fill=other, fractions=[0.5], generator=seeded())
    torch.testing.assert_close(found.empty, score(other.pictures, torch.zeros(4)))
    with pytest.raises(ValueError, match="expected counterparts of the pictures"):
        removal_curves(score, images[:2], maps[:2], fill=other, fractions=[0.5], generator=seeded())
