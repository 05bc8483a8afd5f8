from __future__ import annotations

import pytest
import torch

from audit.metrics.fills import CLIP_MEAN, CLIP_STD, Fill, blur
from audit.metrics.imputation import NoisyLinear
from audit.metrics.perturbation import enlarge, patch_counts, perturbation_curves, removal_ranks

FILLS = ["mean", "dataset-mean", "blur", "noise", "black", NoisyLinear()]
FRACTIONS = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]


def loop_curve(score, images, maps, fractions, filled):
    """Remove patches one by one, most relevant first."""
    side = images.shape[-1] // maps.shape[-1]
    curves = []
    for image, grid, other in zip(images, maps, filled, strict=True):
        order = grid.flatten().argsort(descending=True).tolist()
        row = []
        for fraction in fractions:
            changed = image.clone()
            for patch in order[: round(fraction * len(order))]:
                y, x = divmod(patch, maps.shape[-1])
                window = (slice(None), slice(y * side, y * side + side))
                window = (*window, slice(x * side, x * side + side))
                changed[window] = other[window]
            row.append(score(changed[None], torch.zeros(1)))
        curves.append(torch.cat(row))
    return torch.stack(curves)


@pytest.mark.parametrize("fill", ["mean", "black", "blur"])
def test_curves_are_those_of_a_slow_loop(fill, score, images, maps, seeded):
    filled = Fill(fill).pictures(images, 4.0, seeded()).expand_as(images)
    found = perturbation_curves(
        score, images, maps, order="morf", fill=fill, fractions=FRACTIONS, generator=seeded()
    )
    torch.testing.assert_close(found, loop_curve(score, images, maps, FRACTIONS, filled))


@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_inverted_map_swaps_the_curves_exactly_even_with_ties(fill, score, images, maps, seeded):
    tied = maps.round()

    def curve(values, order):
        return perturbation_curves(
            score, images, values, order=order, fill=fill, fractions=FRACTIONS, generator=seeded()
        )

    assert torch.equal(curve(tied, "morf"), curve(-tied, "lerf"))
    flat = torch.full_like(maps, 0.1)
    assert torch.equal(curve(flat, "morf"), curve(flat, "lerf"))
    assert not torch.equal(curve(tied, "morf"), curve(tied, "lerf"))


@pytest.mark.parametrize("fill", FILLS, ids=str)
def test_inserting_is_removing_read_backwards(fill, score, images, maps, seeded):
    common = {"fill": fill, "maps": maps.round(), "batch_size": 7}
    inserted = perturbation_curves(
        score, images, order="morf", start="fill", fractions=FRACTIONS, generator=seeded(), **common
    )
    removed = perturbation_curves(
        score,
        images,
        order="lerf",
        fractions=[1 - f for f in FRACTIONS],
        generator=seeded(),
        **common,
    )
    torch.testing.assert_close(inserted, removed, rtol=1e-4, atol=1e-6)


def test_same_seed_same_bytes_whatever_the_batch(score, images, maps, seeded):
    def curve(seed, batch):
        return perturbation_curves(
            score,
            images,
            maps.round(),
            order="morf",
            fill="noise",
            fractions=FRACTIONS,
            generator=seeded(seed),
            batch_size=batch,
        )

    assert torch.equal(curve(0, 100), curve(0, 100))
    torch.testing.assert_close(curve(0, 100), curve(0, 5))
    assert not torch.equal(curve(0, 100), curve(1, 100))
    assert score.largest <= 100


def test_ties_are_ordered_evenly():
    ties = torch.rand(20_000, 4, generator=torch.Generator().manual_seed(0))
    ranks = removal_ranks(torch.zeros(20_000, 2, 2), "morf", ties).flatten(1)
    share = torch.stack([(ranks == k).double().mean(0) for k in range(4)])
    assert (share - 0.25).abs().max() < 0.015


def test_nothing_global_is_drawn_and_no_gradient_is_kept(score, images, maps, seeded):
    state = torch.random.get_rng_state()
    score.weight.requires_grad_()
    curve = perturbation_curves(
        score, images, maps, order="morf", fill="noise", fractions=[0.0, 1.0], generator=seeded()
    )
    assert not curve.requires_grad
    assert torch.equal(state, torch.random.get_rng_state())


def test_map_with_nan_and_odd_fractions_are_refused(score, images, maps, seeded):
    common = {"order": "morf", "generator": seeded()}
    with pytest.raises(ValueError, match="without NaN"):
        perturbation_curves(score, images, maps * torch.nan, fractions=[0.5], **common)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        perturbation_curves(score, images, maps, fractions=[1.5], **common)
    assert patch_counts([0.0, 0.1, 0.5, 1.0], 25) == [0, 3, 13, 25]


def test_enlarge_repeats_patches_also_where_they_do_not_divide_the_picture():
    patches = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    assert torch.equal(
        enlarge(patches, (6, 15)), patches.repeat_interleave(2, 1).repeat_interleave(3, 2)
    )
    assert enlarge(patches, (7, 13)).shape == (2, 7, 13)


def test_fills_are_what_they_say(images, seeded):
    black = Fill("black").pictures(images, 4.0, seeded())
    back = (
        black * black.new_tensor(CLIP_STD)[:, None, None]
        + black.new_tensor(CLIP_MEAN)[:, None, None]
    )
    torch.testing.assert_close(back, torch.zeros_like(back), atol=1e-6, rtol=0)
    half = (0.5, 0.5, 0.5)
    noise = Fill("noise", half, half).pictures(images, 4.0, seeded())
    assert noise.shape == images.shape
    assert -1 <= noise.min() < -0.99
    assert 0.99 < noise.max() <= 1
    assert abs(noise.mean()) < 0.02
    torch.testing.assert_close(
        Fill("mean").pictures(images, 4.0, seeded())[:, :, 0, 0], images.mean((2, 3))
    )
    flat = torch.full_like(images, 0.3)
    torch.testing.assert_close(blur(flat, 3.0, 13), flat)
    assert blur(images, 4.0, 17).std() < images.std() / 5
    with pytest.raises((ValueError, TypeError), match=r"(?i)expected"):
        Fill("pink").pictures(images, 4.0, seeded())
