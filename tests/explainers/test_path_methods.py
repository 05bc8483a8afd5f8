"""Input times gradient, integrated gradients and SmoothGrad against their definitions."""

import pytest
import torch
from torch.nn import functional

from audit.explainers.gradient import gradient
from audit.explainers.input_x_gradient import input_x_gradient
from audit.explainers.integrated_gradients import integrated_gradients
from audit.explainers.smooth_grad import smooth_grad
from audit.models.anatomy import anatomy_of
from tests.oracles import oracle


def slow_slope(model, image, token):
    pixels = image[None].clone().requires_grad_()
    score = anatomy_of(model).scores(pixels, token[None]).sum()
    return torch.autograd.grad(score, pixels)[0][0]


def test_input_x_gradient(wide_clip, build_pairs):
    images, tokens = build_pairs(3, size=(24, 40), share=2)
    found = input_x_gradient(wide_clip, images, tokens)
    for i in range(3):
        product = (images[i] * slow_slope(wide_clip, images[i], tokens[i])).sum(0)
        wanted = product.unflatten(0, (3, 8)).unflatten(2, (5, 8)).mean((1, 3))
        torch.testing.assert_close(found.maps[i], wanted, rtol=0, atol=1e-14)


def test_input_x_gradient_of_a_linear_model_adds_up_to_the_score():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 28 * 28, 10)).double()
    images, targets = torch.randn(3, 3, 28, 28).double(), torch.tensor([1, 0, 7])
    for explain in (input_x_gradient, integrated_gradients):
        found = explain(model, images, targets)
        wanted = found.scores - model[1].bias[targets].detach()
        torch.testing.assert_close(found.maps.sum((1, 2)) * 16, wanted)


def test_integrated_gradients_are_complete(clip, build_pairs):
    images, tokens = build_pairs(2, share=2)
    images = 0.1 * images  # the way from the mean color is smooth enough for few steps
    found = integrated_gradients(clip, images, tokens, steps=120)
    with torch.no_grad():
        score = anatomy_of(clip).scores
        wanted = score(images, tokens) - score(torch.zeros_like(images), tokens)
    torch.testing.assert_close(found.maps.sum((1, 2)) * 64, wanted, rtol=0, atol=1e-6)


def test_integrated_gradients_are_those_of_captum(clip, build_pairs):
    attr = oracle("captum.attr")
    images, tokens = build_pairs(2, share=2)
    text = clip.encode_text(tokens, normalize=True).detach()
    theirs = attr.IntegratedGradients(
        lambda pixels, texts: (clip.encode_image(pixels, normalize=True) * texts).sum(-1)
    ).attribute(images, n_steps=6, additional_forward_args=(text,))
    wanted = functional.avg_pool2d(theirs.detach().sum(1), 8)
    found = integrated_gradients(clip, images, tokens, steps=6).maps
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-8)  # its points are float32


def test_smooth_grad(clip, build_pairs):
    images, tokens = build_pairs(3, share=2)
    found = smooth_grad(clip, images, tokens, samples=4, noise=0.2, seed=6)
    draws = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(6)).double()
    for i in range(3):
        spread = 0.2 * (images[i].max() - images[i].min())
        slopes = [slow_slope(clip, images[i] + spread * draw, tokens[i]) for draw in draws]
        largest = (sum(slopes) / 4).abs().max(dim=0).values
        wanted = largest.unflatten(0, (4, 8)).unflatten(2, (4, 8)).mean((1, 3))
        torch.testing.assert_close(found.maps[i], wanted, rtol=0, atol=1e-14)


def test_smooth_grad_without_noise_is_the_gradient(clip, pairs):
    smooth, plain = smooth_grad(clip, *pairs, samples=2, noise=0), gradient(clip, *pairs)
    torch.testing.assert_close(smooth.maps, plain.maps)
    torch.testing.assert_close(smooth.scores, plain.scores)


@pytest.mark.parametrize(
    ("explain", "option"), [(integrated_gradients, "steps"), (smooth_grad, "samples")]
)
def test_no_passes(clip, pairs, explain, option):
    with pytest.raises(ValueError, match=f"expected at least 1 .*{option}=0"):
        explain(clip, *pairs, **{option: 0})
