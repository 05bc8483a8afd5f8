from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

from audit.metrics.imputation import NoisyLinear, impute
from audit.metrics.neighbor_means.corners import coarse_system
from audit.metrics.neighbor_means.grid import Grid, blocks_of
from audit.metrics.perturbation import enlarge
from tests.oracles import oracle


@pytest.fixture
def removed():
    shares = torch.tensor([0.05, 0.5, 0.8, 0.97])[:, None, None]
    g = torch.Generator().manual_seed(5)
    gone = torch.rand(4, 6, 6, generator=g) < shares
    gone[3, 2, 3] = False
    return enlarge(gone, (24, 24))


def loop_impute(image, gone):
    """One sparse system, row by row."""
    height, width = gone.shape
    places = {tuple(p): i for i, p in enumerate(np.argwhere(gone))}
    system, right = lil_matrix((len(places),) * 2), np.zeros((len(places), len(image)))
    for (y, x), i in places.items():
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                b, a = y + dy, x + dx
                if (dy or dx) and 0 <= b < height and 0 <= a < width:
                    weight = 1 / 12 if dy and dx else 1 / 6
                    system[i, i] += weight
                    if (b, a) in places:
                        system[i, places[b, a]] -= weight
                    else:
                        right[i] += weight * image[:, b, a]
    filled = image.copy()
    filled[:, gone] = spsolve(system.tocsc(), right).T.reshape(len(image), -1)
    return filled


@pytest.mark.parametrize("block", [1, 4, 5, 24])
def test_imputation_is_that_of_a_sparse_solver(block, images, removed):
    found = impute(images, removed, 1e-6, block=block)
    for image, gone, value in zip(images.numpy(), removed.numpy(), found, strict=True):
        np.testing.assert_allclose(value, loop_impute(image, gone), atol=2e-4)


def test_default_tolerance_stays_below_the_noise(images, removed):
    exact = impute(images.double(), removed, 1e-9)
    for block in (1, 4):
        error = (impute(images, removed, block=block) - exact).abs().max()
        assert error < NoisyLinear.noise


@pytest.mark.parametrize("block", [1, 4])
def test_kept_pixels_stay_and_an_empty_picture_is_zero(images, removed, block):
    found = impute(images, removed, block=block)
    kept = ~removed[:, None].expand_as(images)
    assert torch.equal(found[kept], images[kept])
    assert (impute(images, torch.ones_like(removed), block=block) == 0).all()
    assert torch.equal(impute(images, torch.zeros_like(removed), block=block), images)


@pytest.mark.parametrize("block", [1, 4])
def test_half_precision_is_solved_in_single(images, removed, block):
    half = images.to(torch.bfloat16)
    found = impute(half, removed, block=block)
    assert found.dtype is torch.bfloat16
    assert torch.equal(found, impute(half.float(), removed, block=block).to(torch.bfloat16))


@pytest.mark.parametrize("block", [1, 4])
def test_neighbors_in_the_batch_do_not_matter(images, removed, block):
    alone = [impute(images[i : i + 1], removed[i : i + 1], block=block) for i in range(4)]
    together = impute(images, removed, block=block)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_a_plane_is_restored_inside():
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    plane = (0.1 * y - 0.2 * x).expand(1, 3, 24, 24)
    gone = torch.zeros(1, 24, 24, dtype=torch.bool)
    gone[:, 5:15, 7:18] = True
    torch.testing.assert_close(impute(plane, gone, 1e-6), plane, atol=1e-3, rtol=0)


@pytest.mark.parametrize(("rows", "side"), [(7, 32), (8, 28), (14, 16)])
def test_pictures_that_are_removed_almost_or_as_a_whole_are_filled(rows, side):
    rng = torch.Generator().manual_seed(0)
    pictures = torch.randn(3, 1, rows * side, rows * side, generator=rng)
    blocks = torch.ones(3, rows, rows, dtype=torch.bool)
    blocks[1, 0, 0] = blocks[2, -1, :] = False
    gone = blocks.repeat_interleave(side, 1).repeat_interleave(side, 2)
    filled = impute(pictures, gone, block=side)
    assert filled[0].abs().max() == 0
    assert filled.isfinite().all()
    assert torch.equal(filled[1, 0, :side, :side], pictures[1, 0, :side, :side])
    assert filled[1:].amax() <= pictures.amax() + 0.01


def test_pixels_of_a_large_patch_are_means_of_their_neighbors():
    """They are solved for in sparse form: one dense matrix of all its pixels has 1.3 GB."""
    side = 112
    y, x = torch.meshgrid(torch.arange(2.0 * side), torch.arange(2.0 * side), indexing="ij")
    plane = ((0.1 * y - 0.2 * x) / side).expand(1, 1, -1, -1)
    shared = blocks_of(Grid(2, 2, side), torch.float64, torch.device("cpu"))
    padded = torch.nn.functional.pad(plane, (1, 1, 1, 1)).flatten().double()
    first = shared.origin[3]
    frame, inner = padded[first + shared.frame], padded[first + shared.inner]
    torch.testing.assert_close(frame @ shared.inside, inner, atol=1e-6, rtol=0)


def test_coarse_system_solves_large_holes_in_few_steps(images):
    gone = torch.ones(4, 24, 24, dtype=torch.bool)
    gone[:, :4, :4] = False
    exact = impute(images.double(), gone, 1e-9)
    plain, coarse = (impute(images, gone, 1e-9, 12, block) - exact for block in (1, 4))
    assert coarse.abs().max() < 0.05 * plain.abs().max()


@pytest.mark.parametrize(("rows", "columns", "side"), [(3, 4, 4), (1, 3, 2), (2, 2, 3)])
def test_coarse_system_is_the_fine_one_on_hats(rows, columns, side):
    y, x = (a.ravel() for a in np.mgrid[: rows * side, : columns * side])
    apart = np.stack([abs(y[:, None] - y), abs(x[:, None] - x)])
    weight = np.where(apart.min(0) == 1, 1 / 12, 1 / 6) * (apart.max(0) == 1)
    system = np.diag(weight.sum(1)) - weight
    frame = (y % side % (side - 1) == 0) | (x % side % (side - 1) == 0)
    own, inner = system[np.ix_(frame, frame)], system[np.ix_(~frame, ~frame)]
    across = system[np.ix_(frame, ~frame)]
    reduced = own - across @ np.linalg.solve(inner, across.T)
    hats = [
        np.clip(1 - abs((y[frame] + 0.5) / side - i), 0, None)
        * np.clip(1 - abs((x[frame] + 0.5) / side - j), 0, None)
        for i in range(rows + 1)
        for j in range(columns + 1)
    ]
    wanted = np.array(hats) @ reduced @ np.array(hats).T
    found = coarse_system(Grid(rows, columns, side), torch.float64, torch.device("cpu"))
    np.testing.assert_allclose(found[:-1, :-1], wanted, atol=1e-4)
    assert not found[-1].any()


def test_blocks_removed_in_part_are_pixels(images, removed):
    removed[:, 0, 0] ^= True
    torch.testing.assert_close(
        impute(images, removed, 1e-6, block=4), impute(images, removed, 1e-6), atol=1e-4, rtol=0
    )


def test_the_error_is_the_one_aimed_at(images, removed):
    """The estimate of the error's norm becomes a root mean square by a constant of the system."""
    exact = impute(images.double(), removed, 1e-12, block=4)
    for block, aim in itertools.product((1, 4), (1e-3, 1e-4)):
        error = (impute(images.double(), removed, aim, block=block) - exact)[
            removed[:, None].expand_as(images)
        ]
        assert 0.02 * aim < error.square().mean().sqrt() < 1.5 * aim


def test_noise_has_its_size_and_seed(images, removed, seeded):
    pair = torch.arange(4)
    quiet = NoisyLinear(noise=0.0).prepare(images, 4.0, seeded())(images, removed, pair)
    loud = NoisyLinear(noise=0.5).prepare(images, 4.0, seeded())(images, removed, pair)
    again = NoisyLinear(noise=0.5).prepare(images, 4.0, seeded())(images, removed, pair)
    assert torch.equal(loud, again)
    difference = (loud - quiet)[removed[:, None].expand_as(images)]
    assert 0.45 < difference.std() < 0.55


def test_quantus_solves_the_same_system(images, removed):
    perturb = oracle("quantus.functions.perturb_func")
    found = impute(images, removed, 1e-6)
    for image, gone, value in zip(images, removed, found, strict=True):
        indices = np.flatnonzero(gone.numpy())
        theirs = perturb.noisy_linear_imputation(image.numpy(), indices, noise=0.0)
        np.testing.assert_allclose(value, theirs, atol=2e-4)


def test_quantus_road_cannot_take_color_pictures(images, maps):
    """It ranks a map once per channel and removes pixels by those ranks, past the last pixel."""
    quantus = oracle("quantus")
    metric = quantus.ROAD(percentages=[50], normalise=False, disable_warnings=True)
    pixels = maps.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None]
    with pytest.raises(IndexError, match="out of bounds"):
        metric(
            model=torch.nn.Flatten().eval(),
            x_batch=images.float().numpy(),
            y_batch=np.zeros(len(images), dtype=int),
            a_batch=pixels.float().numpy(),
            softmax=False,
            channel_first=True,
        )
