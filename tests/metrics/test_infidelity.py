from __future__ import annotations

import numpy as np
import pytest
import torch

from audit.metrics.infidelity import faithfulness_correlation, infidelity, subset_drops
from audit.metrics.perturbation import enlarge
from tests.oracles import oracle


@pytest.fixture
def removed(score, images, seeded):
    return subset_drops(
        score, images, (6, 6), fill="dataset-mean", samples=40, generator=seeded(), batch_size=33
    )


@pytest.fixture
def effects(score, images):
    """What each patch is worth to the linear score."""
    worth = (images * score.weight).sum(1) / score.weight.numel()
    return worth.unflatten(1, (6, 4)).unflatten(3, (6, 4)).sum((2, 4))


def test_drops_are_those_of_the_subsets(removed, score, images):
    sizes = removed.subsets.sum(-1)
    assert sizes.min() >= 4
    assert sizes.max() <= 18
    for k in (0, 17):
        pixels = enlarge(removed.subsets[:, k].view(4, 6, 6), (24, 24))
        drop = score(images, torch.zeros(4)) - score(images * ~pixels[:, None], torch.zeros(4))
        torch.testing.assert_close(removed.drops[:, k], drop, rtol=1e-4, atol=1e-6)


def test_true_effects_are_infallible_at_any_scale(removed, effects):
    for scale in (1.0, 1000.0, 1e-4):
        found = infidelity(effects * scale, removed)
        torch.testing.assert_close(found.share, torch.zeros_like(found.share), atol=1e-6, rtol=0)
        torch.testing.assert_close(
            faithfulness_correlation(effects * scale + scale, removed), torch.ones_like(found.share)
        )


def test_inverted_and_empty_maps_tell_nothing(removed, effects):
    zero = torch.zeros_like(effects)
    assert torch.equal(infidelity(zero, removed).share, torch.ones(4, dtype=zero.dtype))
    inverted = infidelity(-effects, removed)
    assert torch.equal(inverted.share, torch.ones(4, dtype=zero.dtype))
    assert (inverted.scale == 0).all()
    torch.testing.assert_close(
        faithfulness_correlation(-effects, removed), -torch.ones(4, dtype=zero.dtype)
    )
    assert faithfulness_correlation(zero + 0.1, removed).isnan().all()


def test_share_lies_between_zero_and_one_and_a_constant_map_gets_what_size_explains(removed, maps):
    share = infidelity(maps, removed).share
    assert ((share >= 0) & (share <= 1)).all()
    sizes = removed.subsets.sum(-1).to(maps.dtype)
    along = (sizes * removed.drops).sum(-1).clamp(min=0) ** 2 / (sizes**2).sum(-1)
    wanted = 1 - along / (removed.drops**2).sum(-1)
    torch.testing.assert_close(infidelity(torch.ones_like(maps), removed).share, wanted)


def test_captum_agrees_with_its_normalization(removed, effects, maps, score, images):
    captum = oracle("captum.metrics")
    guess = effects + maps * effects.std()
    found = infidelity(guess, removed)
    assert (found.scale > 0).all()
    pixels = guess.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None] / 16
    gone = enlarge(removed.subsets.flatten(0, 1).view(-1, 6, 6), (24, 24))[:, None]

    def perturb(inputs):
        # What captum multiplies by the attributions comes first: 1 where a patch goes.
        return gone.expand_as(inputs).to(inputs.dtype), inputs * ~gone

    def forward(inputs):
        return score(inputs, torch.zeros(len(inputs)))

    theirs = captum.infidelity(
        forward,
        perturb,
        images,
        pixels.expand_as(images) / 3,
        n_perturb_samples=40,
        normalize=True,
    )
    np.testing.assert_allclose(found.error, theirs, rtol=1e-3)
