"""Meaningful and extremal perturbation against their definitions, pixel by pixel."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from audit.explainers.extremal_perturbation import AREAS, SmoothMask, extremal_perturbation
from audit.explainers.meaningful_perturbation import disks, meaningful_perturbation, roughness
from audit.explainers.perturbed_pictures import at_level, blurred, pixels_of, pyramid
from audit.models.anatomy import anatomy_of


class Contrast(torch.nn.Module):
    """A network whose score is the mean square of the picture, wherever it lies."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(1, 2, bias=False).double()
        self.head.weight.data = torch.tensor([[1.0], [0.0]]).double()

    def forward(self, x):
        return self.head(x.square().mean((1, 2, 3))[:, None])


def striped_on_the_left():
    """Pictures that are even but for stripes, which a blur takes away."""
    images = torch.zeros(2, 3, 16, 24).double()
    images[..., 4:12, 2:10] = torch.arange(8) % 2 * 6.0 - 3
    return images


def test_a_blur_is_scipys_with_the_border_renormalized():
    x = torch.randn(1, 1, 9, 12, generator=torch.Generator().manual_seed(0)).double()
    for sigma in (0.0, 0.4, 1.7):
        found = blurred(x, sigma)[0, 0].numpy()
        radius = math.ceil(3 * sigma)
        if sigma == 0:
            wanted = x[0, 0].numpy()
        else:
            once = [
                gaussian_filter(z, sigma, mode="constant", radius=radius)
                for z in (x[0, 0].numpy(), torch.ones(9, 12).double().numpy())
            ]
            wanted = once[0] / once[1]
        torch.testing.assert_close(torch.from_numpy(found), torch.from_numpy(wanted))


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_levels_are_mixed_linearly(shares):
    generator = torch.Generator().manual_seed(1)
    stack = torch.randn(1, 5, 3, 2, 2, generator=generator).double()
    mask = torch.tensor(shares, dtype=torch.float64).reshape(1, 2, 2)
    found = at_level(stack, mask)
    for row in range(2):
        for column in range(2):
            place = float(mask[0, row, column]) * 4
            low = min(int(place), 3)
            one, other = stack[0, low, :, row, column], stack[0, low + 1, :, row, column]
            wanted = one + (place - low) * (other - one)
            torch.testing.assert_close(found[0, :, row, column], wanted)


def test_the_ends_of_a_pyramid_are_the_picture_and_its_blur():
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(2)).double()
    stack = pyramid(x, 2.5, 8)
    torch.testing.assert_close(stack[:, -1], x)
    torch.testing.assert_close(stack[:, 0], blurred(x, 2.5))
    torch.testing.assert_close(at_level(stack, torch.ones(2, 16, 16).double()), x)
    assert pixels_of(torch.zeros(1, 3, 224, 448), 20) == 20
    assert pixels_of(torch.zeros(1, 3, 112, 448), 20) == 10


def slow_mask(weights, size):
    """The smooth maximum, pixel by pixel, over the grid points near the pixel's cell."""
    unit = min(size) / 224
    step, sigma = math.ceil(7 * unit), 21 * unit
    reach = math.ceil(sigma / step)
    rows = []
    for y in range(-reach * step, (weights.shape[0] + reach) * step):
        rows.append([])
        for x in range(-reach * step, (weights.shape[1] + reach) * step):
            values = []
            for i in range(y // step - reach - 1, y // step + reach + 2):
                for j in range(x // step - reach - 1, x // step + reach + 2):
                    inside = 0 <= i < weights.shape[0] and 0 <= j < weights.shape[1]
                    weight = float(weights[i, j]) if inside else 0.0
                    middle = [step * n + (step - 1) / 2 for n in (i, j)]
                    far = math.hypot(y - middle[0], x - middle[1]) / sigma
                    values.append(weight * math.exp(-2 * max(0, far - 0.5) ** 2))
            powers = [math.exp(20 * v) for v in values]
            rows[-1].append(sum(v * p for v, p in zip(values, powers, strict=True)) / sum(powers))
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("size", [(16, 24), (70, 64)])
def test_smooth_masks(size):
    mask = SmoothMask(torch.zeros(1, 3, *size).double())
    weights = torch.rand(2, *mask.grid, generator=torch.Generator().manual_seed(3)).double()
    found = mask(weights)
    torch.testing.assert_close(found[1], slow_mask(weights[1], size), rtol=1e-9, atol=1e-12)
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert mask.visible(found).shape == (2, *size)
    corner = found[:, mask.margin, mask.margin]
    torch.testing.assert_close(mask.visible(found)[:, 0, 0], corner)


def test_extremal_perturbation_step_by_step(clip, build_pairs):
    images, tokens = build_pairs(2)
    found = extremal_perturbation(clip, images, tokens, steps=3, area=0.3, scale=50.0)
    maps = []
    for image, token in zip(images, tokens, strict=True):
        make = SmoothMask(image[None])
        weights = torch.ones((1, *make.grid), dtype=torch.float64)
        speed = torch.zeros_like(weights)
        for step in range(3):
            leaf = weights.clone().requires_grad_()
            m = make(leaf)
            seen = at_level(pyramid(image[None], 20 * 32 / 224, 8), make.visible(m))
            seen = seen if step == 1 else torch.flip(seen, [3])
            order = m.flatten().sort().values
            shown = torch.zeros_like(order)
            shown[int(0.7 * len(shown)) :] = 1
            loss = 300 * 1.0035**step * ((order - shown) ** 2).mean()
            loss = loss - 50 * anatomy_of(clip).scores(seen, token[None]).sum()
            (slope,) = torch.autograd.grad(loss, leaf)
            speed = slope if step == 0 else 0.9 * speed + 0.1 * slope
            weights = (weights - 0.01 * speed).clamp(0, 1)
        smooth = blurred(make.visible(make(weights))[:, None], 0.09 * 32)
        maps.append(functional.avg_pool2d(smooth, 8)[0, 0])
    torch.testing.assert_close(found.maps, torch.stack(maps), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(found.scores, anatomy_of(clip).scores(images, tokens).detach())


def test_extremal_masks_have_their_area_and_lie_where_the_score_is():
    images = striped_on_the_left()
    found = extremal_perturbation(Contrast(), images, torch.tensor([0, 0]), steps=400, scale=10.0)
    columns = found.maps.mean(1)
    assert bool((columns[:, :3].amax(1) > columns[:, -3:].amax(1) + 0.5).all())
    whole = found.maps.mean((1, 2))
    wanted = sum(AREAS) * 20 * 28 / (16 * 24)  # the margin counts
    assert float(whole.max()) == pytest.approx(wanted, abs=0.2)


def test_meaningful_perturbation_step_by_step(clip, build_pairs):
    images, tokens = build_pairs(2)
    found = meaningful_perturbation(
        clip, images, tokens, steps=3, cells=6, area=0.02, variation=0.3, seed=5
    )
    generator = torch.Generator().manual_seed(5)
    moves = [torch.randint(1, (2,), generator=generator).tolist() for _ in range(3)]
    assert moves == [[0, 0]] * 3  # 4 of 224 pixels are less than one of 32
    for i, (image, token) in enumerate(zip(images, tokens, strict=True)):
        soft = blurred(image[None], 10 * 32 / 224)

        def large(m):
            up = functional.interpolate(m[None, None], size=(32, 32), mode="bilinear")
            return blurred(up, 5 * 32 / 224)[0, 0]

        def score(m, image=image, soft=soft, token=token):
            seen = soft + large(m) * (image - soft)
            return anatomy_of(clip).scores(seen, token[None])[0]

        m = first_disk(score, 6)
        mean, square = torch.zeros_like(m), torch.zeros_like(m)
        for step in range(1, 4):
            leaf = m.clone().requires_grad_()
            rough = ((leaf[1:] - leaf[:-1]).abs() ** 3).sum()
            rough = rough + ((leaf[:, 1:] - leaf[:, :-1]).abs() ** 3).sum()
            loss = score(leaf) + 0.02 * (1 - leaf).abs().sum() + 0.3 * rough
            (slope,) = torch.autograd.grad(loss, leaf)
            mean = 0.9 * mean + 0.1 * slope
            square = 0.999 * square + 0.001 * slope**2
            move = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
            m = (m - 0.1 * move).clamp(0, 1)
        wanted = functional.avg_pool2d(1 - large(m)[None], 8)[0]
        torch.testing.assert_close(found.maps[i], wanted, rtol=1e-6, atol=1e-8)


def first_disk(score, cells):
    """The smallest disk that takes 99 percent of what hiding all takes."""
    with torch.no_grad():
        whole, none = (float(score(torch.full((cells, cells), v).double())) for v in (1, 0))
        for radius in range(1, 99):
            mask = torch.ones(cells, cells).double()
            for i in range(cells):
                for j in range(cells):
                    if math.hypot(i - (cells - 1) / 2, j - (cells - 1) / 2) <= radius:
                        mask[i, j] = 0
            if (whole - float(score(mask))) / (whole - none) >= 0.99:
                return mask
    raise AssertionError


def test_the_last_disk_covers_all_and_each_holds_the_one_before():
    for cells in (2, 5, 28):
        found = disks(cells)
        assert not found[-1].any()
        assert bool((found[1:] <= found[:-1]).all())


def test_an_even_mask_is_not_rough():
    assert not roughness(torch.full((2, 4, 4), 0.3)).any()
    edge = torch.zeros(1, 2, 3)
    edge[0, :, 1:] = 0.5
    assert float(roughness(edge)) == pytest.approx(2 * 0.5**3)


def test_meaningful_masks_lie_where_the_score_is():
    images = striped_on_the_left()
    found = meaningful_perturbation(
        Contrast(), images, torch.tensor([0, 0]), steps=60, cells=8, area=1e-3
    )
    assert bool((found.maps >= 0).all())
    assert bool((found.maps <= 1).all())
    columns = found.maps.mean(1)
    assert bool((columns[:, :2].amax(1) > columns[:, -2:].amax(1)).all())


@pytest.mark.parametrize("option", [{"steps": 0}, {"area": 0.0}, {"area": 1.0}])
def test_extremal_perturbation_with_nothing_to_do(clip, pairs, option):
    with pytest.raises(ValueError, match=r"at least 1 step and an area in \]0, 1\["):
        extremal_perturbation(clip, *pairs, **option)


@pytest.mark.parametrize("option", [{"steps": 0}, {"cells": 1}])
def test_meaningful_perturbation_with_nothing_to_do(clip, pairs, option):
    with pytest.raises(ValueError, match="at least 1 step and 2 cells"):
        meaningful_perturbation(clip, *pairs, **option)
