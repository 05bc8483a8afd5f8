"""RISE, Score-CAM and Grad-CAM++ against their definitions, place by place."""

import pytest
import torch
from torch.nn import functional

from audit.explainers.grad_cam import grad_cam
from audit.explainers.grad_cam_plus_plus import grad_cam_plus_plus
from audit.explainers.rise import random_masks, rise
from audit.explainers.score_cam import score_cam
from audit.models.anatomy import anatomy_of
from tests.oracles import oracle


def convolutions(channels=6):
    """A small network of convolutions whose last activation is 4 by 4."""
    generator = torch.Generator().manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.ReLU(),
        torch.nn.Conv2d(8, channels, 3, 2, 1), torch.nn.Tanh(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, 10),
    ).double().eval()  # fmt: skip
    for parameter in model.parameters():
        parameter.data.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model


PICTURES = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(5)).double()
TARGETS = torch.tensor([2, 9, 4])


@pytest.mark.parametrize("center", [False, True])
def test_rise(wide_clip, build_pairs, center):
    images, tokens = build_pairs(3, size=(24, 40), share=2)
    found = rise(wide_clip, images, tokens, masks=9, cells=3, keep=0.4, center=center, seed=2)
    score = anatomy_of(wide_clip).scores
    masks = random_masks((24, 40), 9, 3, 0.4, 2).double()
    with torch.no_grad():
        for i in range(3):
            each = [float(score(images[i, None] * m, tokens[i, None])) for m in masks]
            mean = sum(each) / 9 if center else 0
            total = sum((s - mean) * m for s, m in zip(each, masks, strict=True)) / (9 * 0.4)
            wanted = total.unflatten(0, (3, 8)).unflatten(2, (5, 8)).mean((1, 3))
            torch.testing.assert_close(found.maps[i], wanted, rtol=0, atol=1e-7)
        torch.testing.assert_close(found.scores, score(images, tokens))


class Even(torch.nn.Module):
    """A network that gives every picture the same score."""

    def __init__(self, score):
        super().__init__()
        self.head = torch.nn.Linear(1, 2, bias=False).double()
        self.head.weight.data[:] = score

    def forward(self, x):
        return self.head(x.new_ones(len(x), 1))


def test_rise_of_few_masks_repeats_how_often_each_place_was_shown_whatever_the_model():
    """Why P107 finds that `rise?masks=64` survives a randomized model: it does, but centered."""
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    targets = torch.tensor([0, 1])
    one, other = (rise(Even(s), images, targets, masks=16).maps for s in (0.2, 0.5))
    torch.testing.assert_close(one / 0.2, other / 0.5)
    torch.testing.assert_close(one[0], one[1])
    assert float(one.std() / one.mean()) > 0.1
    centered = rise(Even(0.5), images, targets, masks=16, center=True).maps
    assert float(centered.abs().max()) < 1e-12


def test_masks_that_show_everything_give_the_score_everywhere(clip, pairs):
    found = rise(clip, *pairs, masks=2, keep=1)
    torch.testing.assert_close(found.maps, found.scores[:, None, None].expand(-1, 4, 4))


def test_random_masks():
    masks = random_masks((20, 33), 400, 4, 0.3, 0)
    assert masks.shape == (400, 20, 33)
    assert float(masks.min()) >= 0
    assert float(masks.max()) <= 1
    assert float(masks.mean()) == pytest.approx(0.3, abs=0.02)
    assert float(masks.mean(0).min()) > 0.2  # no place is shown less often than others
    assert float((masks[:, 1:] - masks[:, :-1]).abs().max()) <= 1 / 5 + 1e-6  # a cell is 5 pixels
    assert torch.equal(masks[:7], random_masks((20, 33), 400, 4, 0.3, 0)[:7])
    assert not torch.equal(masks, random_masks((20, 33), 400, 4, 0.3, 1))


@pytest.mark.parametrize("option", [{"masks": 0}, {"cells": 0}, {"keep": 0.0}])
def test_rise_with_nothing_to_show(clip, pairs, option):
    with pytest.raises(ValueError, match="expected masks and cells of at least 1 and keep in"):
        rise(clip, *pairs, **option)


@pytest.mark.parametrize("weights", ["softmax", "increase"])
def test_score_cam(weights):
    model = convolutions()
    found = score_cam(model, PICTURES, TARGETS, weights=weights)
    with torch.no_grad():
        empty = model(torch.zeros_like(PICTURES[:1]))[0]
        for i, target in enumerate(TARGETS):
            channels = model[:4](PICTURES[i, None])[0]
            scores = []
            for channel in channels:
                mask = functional.interpolate(channel[None, None], size=(16, 16), mode="bilinear")
                mask = (mask - mask.min()) / (mask.max() - mask.min())
                scores.append(model(PICTURES[i, None] * mask)[0, target] - empty[target])
            weight = torch.stack(scores)
            weight = weight.softmax(0) if weights == "softmax" else weight
            wanted = (weight[:, None, None] * channels).sum(0).clamp(min=0)
            torch.testing.assert_close(found.maps[i], wanted)


def test_a_channel_that_is_even_masks_everything():
    model = convolutions()
    model[2].weight.data[1:], model[2].bias.data[1:] = 0, -0.2
    found = score_cam(model, PICTURES, TARGETS, weights="increase")
    rest = model[:4](PICTURES).detach()[:, :1]
    assert bool(torch.isfinite(found.maps).all())
    for one, channel in zip(found.maps, rest, strict=True):  # only the first channel counts
        up = (channel[0] * one).sum() / channel[0].clamp(min=0).square().sum().clamp_min(1e-9)
        down = (channel[0] * one).sum() / channel[0].clamp(max=0).square().sum().clamp_min(1e-9)
        near = [torch.allclose(one, (f * channel[0]).clamp(min=0)) for f in (up, down)]
        assert any(near)


def test_grad_cam_plus_plus():
    model = convolutions()
    found = grad_cam_plus_plus(model, PICTURES, TARGETS)
    for i, target in enumerate(TARGETS):
        a = model[:4](PICTURES[i, None]).detach().requires_grad_()
        (slope,) = torch.autograd.grad(model[4:](a)[0, target], a)
        wanted = torch.zeros(4, 4, dtype=torch.float64)
        for channel, g in zip(a[0].detach(), slope[0], strict=True):
            alpha = g**2 / (2 * g**2 + channel.sum() * g**3)
            wanted += (alpha * g.clamp(min=0)).sum() * channel
        torch.testing.assert_close(found.maps[i], wanted.clamp(min=0))


@pytest.mark.filterwarnings("default")
def test_grad_cam_plus_plus_is_that_of_pytorch_grad_cam():
    cam = oracle("pytorch_grad_cam")
    targets = oracle("pytorch_grad_cam.utils.model_targets")
    model = convolutions().float()
    mine = grad_cam_plus_plus(model, PICTURES.float(), TARGETS).maps
    with cam.GradCAMPlusPlus(model=model, target_layers=[model[3]]) as theirs:
        theirs.get_cam_weights_eps = None
        wanted = theirs(
            input_tensor=PICTURES.float(),
            targets=[targets.ClassifierOutputTarget(int(t)) for t in TARGETS],
        )
    large = functional.interpolate(mine[:, None], size=(16, 16), mode="bilinear")[:, 0]
    low, high = (x[:, None, None] for x in large.flatten(1).aminmax(dim=1))
    scaled = (large - low) / (high - low).clamp_min(1e-7)
    torch.testing.assert_close(scaled, torch.as_tensor(wanted), rtol=0, atol=2e-2)


def test_even_positive_gradients_make_grad_cam_and_its_sequel_alike():
    """Where the gradient of a channel is even, all its places weigh the same in both."""
    model = convolutions(channels=1)  # averaged over places: the gradient is even
    maps = [f(model, PICTURES, TARGETS).maps for f in (grad_cam, grad_cam_plus_plus)]
    for one, other in zip(*maps, strict=True):
        if bool(one.any()) and bool(other.any()):
            torch.testing.assert_close(one / one.max(), other / other.max())
