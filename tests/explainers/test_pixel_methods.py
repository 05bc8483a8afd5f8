"""Gradient and occlusion against one-at-a-time oracles."""

import pytest
import torch

from audit.explainers import probed_features
from audit.explainers.gradient import gradient
from audit.explainers.occlusion import occlusion
from audit.models.anatomy import anatomy_of
from tests.oracles import oracle


@pytest.mark.parametrize("fixture", ["clip", "wide_clip"])
@pytest.mark.parametrize("share", [1, 2, 5])
def test_gradient(fixture, share, build_pairs, request):
    model = request.getfixturevalue(fixture)
    images, tokens = build_pairs(5, size=model.visual.image_size, share=share)
    found = gradient(model, images, tokens)
    for i in range(5):
        pixels = images[i : i + 1].clone().requires_grad_()
        score = anatomy_of(model).scores(pixels, tokens[i : i + 1])
        (slope,) = torch.autograd.grad(score.sum(), pixels)
        largest = slope[0].abs().max(dim=0).values
        for row in range(found.maps.shape[1]):
            for column in range(found.maps.shape[2]):
                patch = largest[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8]
                assert float(found.maps[i, row, column]) == pytest.approx(float(patch.mean()))
        assert float(found.scores[i]) == pytest.approx(float(score.detach()), abs=1e-12)


@pytest.mark.parametrize("fixture", ["clip", "wide_clip"])
@pytest.mark.parametrize("window", [1, 2, 3])
def test_occlusion(fixture, window, build_pairs, request):
    model = request.getfixturevalue(fixture)
    images, tokens = build_pairs(2, size=model.visual.image_size, share=2)
    found = occlusion(model, images, tokens, window=window)
    rows, columns = model.visual.grid_size
    score = anatomy_of(model).scores
    with torch.no_grad():
        for i in range(2):
            drops = {}
            for row in range(rows - window + 1):
                for column in range(columns - window + 1):
                    hidden = images[i : i + 1].clone()
                    y, x = row * 8, column * 8
                    hidden[:, :, y : y + 8 * window, x : x + 8 * window] = 0
                    whole = score(images[i : i + 1], tokens[i : i + 1])
                    drops[row, column] = float(whole - score(hidden, tokens[i : i + 1]))
            for row in range(rows):
                for column in range(columns):
                    covering = [
                        drop
                        for (y, x), drop in drops.items()
                        if y <= row < y + window and x <= column < x + window
                    ]
                    mean = sum(covering) / len(covering)
                    assert float(found.maps[i, row, column]) == pytest.approx(mean, abs=1e-12)


def test_occlusion_in_small_batches_is_the_same(clip, pairs, monkeypatch):
    whole = occlusion(clip, *pairs).maps
    monkeypatch.setattr(probed_features, "BATCH", {"cpu": 4})
    torch.testing.assert_close(occlusion(clip, *pairs).maps, whole, rtol=0, atol=1e-12)


def test_occlusion_window_larger_than_the_grid(wide_clip, build_pairs):
    with pytest.raises(ValueError, match=r"at most 3 patches, got 4; the patch grid is 3x5"):
        occlusion(wide_clip, *build_pairs(1, size=(24, 40)), window=4)


@pytest.mark.parametrize("explain", [gradient, occlusion])
def test_pictures_share_their_forward_pass(explain, clip, build_pairs):
    """Eight texts of one picture cost as many image rows as one text."""
    images, tokens = build_pairs(8, share=8)
    rows = []
    handle = clip.visual.register_forward_hook(lambda _m, args, _o: rows.append(len(args[0])))
    try:
        explain(clip, images[:1], tokens[:1])
        alone = sum(rows)
        rows.clear()
        explain(clip, images, tokens)
    finally:
        handle.remove()
    assert sum(rows) == alone


def pair_score(model):
    """The cosine of pictures with one text each, by the model's own methods."""
    return lambda pixels, text: (model.encode_image(pixels, normalize=True) * text).sum(-1)


def test_gradient_is_the_saliency_of_captum(clip, build_pairs):
    attr = oracle("captum.attr")
    images, tokens = build_pairs(4)
    text = clip.encode_text(tokens, normalize=True).detach()
    slopes = attr.Saliency(pair_score(clip)).attribute(
        images.clone().requires_grad_(), additional_forward_args=(text,)
    )
    wanted = torch.nn.functional.avg_pool2d(slopes.amax(1), 8)
    torch.testing.assert_close(gradient(clip, images, tokens).maps, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [1, 2])
def test_occlusion_is_that_of_captum(window, clip, build_pairs):
    attr = oracle("captum.attr")
    images, tokens = build_pairs(2)
    text = clip.encode_text(tokens, normalize=True).detach()
    with torch.no_grad():
        drops = attr.Occlusion(pair_score(clip)).attribute(
            images,
            sliding_window_shapes=(3, 8 * window, 8 * window),
            strides=(3, 8, 8),
            baselines=0,
            additional_forward_args=(text,),
        )
    assert drops.dtype is torch.float32  # whatever the model is
    wanted = torch.nn.functional.avg_pool2d(drops[:, 0], 8).double()  # each channel is the same
    found = occlusion(clip, images, tokens, window=window).maps
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
