from __future__ import annotations

import pytest
import torch

from audit.metrics.adaptive import adaptive_curves
from audit.metrics.faithfulness import removal_curves
from audit.metrics.imputation import NoisyLinear

EVERY = [k / 144 for k in range(145)]


@pytest.fixture
def steep(score):
    """A score in [0, 1] that falls off a cliff, as a probability does."""
    return lambda images, pair: torch.sigmoid(60 * score(images, pair) + pair.to(images.dtype))


@pytest.fixture
def fine(images, score):
    effects = (images * score.weight).sum(1).unflatten(1, (12, 2)).unflatten(3, (12, 2))
    return effects.sum((2, 4))


@pytest.mark.parametrize("fill", ["mean", NoisyLinear()], ids=["mean", "ROAD"])
def test_area_is_that_of_every_patch_for_a_third_of_the_passes(
    steep, images, fine, seeded, score, fill
):
    full = removal_curves(steep, images, fine, fill=fill, fractions=EVERY, generator=seeded())
    before = score.pictures
    found = adaptive_curves(steep, images, fine, fill=fill, generator=seeded())
    assert score.pictures - before == found.passes.sum()
    assert (full.deletion - full.deletion.mean()).abs().max() > 0.01  # the curves do differ
    for name in ("deletion", "insertion"):
        error = (getattr(found.curves, name) - getattr(full, name)).abs().max()
        assert error <= 0.005
    assert found.passes.max() <= 288 / 3


def test_scored_counts_are_exact_and_no_tolerance_scores_all(steep, images, fine, seeded):
    full = removal_curves(steep, images, fine.round(), fractions=EVERY, generator=seeded())
    found = adaptive_curves(steep, images, fine.round(), generator=seeded(), tolerance=-1.0)
    assert found.passes.tolist() == [288] * 4
    torch.testing.assert_close(found.curves.morf, full.morf)
    torch.testing.assert_close(found.curves.lerf, full.lerf)


def test_straight_curves_cost_the_first_cut_only(images, fine, seeded, dtype):
    def flat(pictures, pair):
        return torch.full((len(pictures),), 0.25, dtype=dtype)

    found = adaptive_curves(flat, images, fine, generator=seeded(), first=8)
    assert found.passes.max() <= 2 * 16
    assert (found.curves.gap == 0).all()
