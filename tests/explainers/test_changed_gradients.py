"""LibraGrad and AttnLRP: the model's values with another gradient."""

import copy

import pytest
import torch
from torch.nn import functional

from audit.explainers.attn_lrp import attn_lrp
from audit.explainers.gradient import gradient
from audit.explainers.libra_grad import libra_grad
from audit.models.anatomy import anatomy_of
from tests.slow_blocks import text_of

SHAPE, AREA = (3, 5), 64


@pytest.fixture(scope="module")
def shown(wide_clip, build_pairs):
    return (wide_clip, *build_pairs(3, size=(24, 40), share=2))


def slow_score(model, image, text, kept, split):
    """The score with recorded constants: attention, deviations, gates and length.

    Constants are recorded into an empty list ``kept``; a list that holds them is followed. With
    ``split`` a quarter of the gradient reaches queries and keys, and half of it values.
    """
    record, used = not kept, iter(list(kept))

    def constant(value):
        if record:
            kept.append(value.detach())
            return value.detach()
        return next(used)

    def norm(layer, x):
        centered = x - x.mean(-1, keepdim=True)
        deviation = constant((x.var(-1, correction=0, keepdim=True) + layer.eps) ** 0.5)
        return centered / deviation * layer.weight + layer.bias

    def less(x, share):
        if x.requires_grad:
            x.register_hook(lambda g: g * share)
        return x

    visual = model.visual
    patches = visual.conv1(image[None]).flatten(2).mT[0]
    x = torch.cat([visual.class_embedding[None], patches]) + visual.positional_embedding
    x = norm(visual.ln_pre, x)
    for block in visual.transformer.resblocks:
        own, heads = block.attn, []
        qkv = functional.linear(norm(block.ln_1, x), own.in_proj_weight, own.in_proj_bias)
        for h in range(own.num_heads):
            q, k, v = (z[:, 8 * h : 8 * h + 8] * 1 for z in qkv.chunk(3, -1))
            if split:
                a = (less(q, 1 / 4) @ less(k, 1 / 4).T / 8**0.5).softmax(-1)
                heads.append(a @ less(v, 1 / 2))
            else:
                heads.append(constant((q @ k.T / 8**0.5).softmax(-1)) @ v)
        x = x + block.ls_1(own.out_proj(torch.cat(heads, -1)))
        y = block.mlp.c_fc(norm(block.ln_2, x))
        x = x + block.ls_2(block.mlp.c_proj(y * constant(functional.gelu(y) / y)))
    feature = norm(visual.ln_post, x[0]) @ visual.proj
    return feature / constant(feature.norm()) @ text


def test_libra_grad_is_what_each_patch_adds_where_factors_are_held(shown):
    """With constants held the network is affine: relevance is the drop when a patch goes black."""
    model, images, tokens = shown
    found = libra_grad(*shown)
    with torch.no_grad():
        for i in range(3):
            text, kept = text_of(model, tokens[i]), []
            whole = slow_score(model, images[i], text, kept, split=False)
            torch.testing.assert_close(found.scores[i], whole)
            for row in range(3):
                for column in range(5):
                    image = images[i].clone()
                    image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 0
                    drop = whole - slow_score(model, image, text, kept, split=False)
                    assert float(found.maps[i, row, column]) * AREA == pytest.approx(
                        float(drop), abs=1e-12
                    )


def test_attn_lrp_is_a_gradient_with_shared_products(shown):
    model, images, tokens = shown
    found = attn_lrp(*shown)
    for i in range(3):
        pixels = images[i].clone().requires_grad_()
        score = slow_score(model, pixels, text_of(model, tokens[i]), [], split=True)
        (slope,) = torch.autograd.grad(score, pixels)
        wanted = (images[i] * slope).sum(0).unflatten(0, (3, 8)).unflatten(2, (5, 8)).mean((1, 3))
        torch.testing.assert_close(found.maps[i], wanted, rtol=0, atol=1e-14)


def test_attn_lrp_with_constant_attention_is_libra_grad(shown):
    assert torch.equal(attn_lrp(*shown, attention="constant").maps, libra_grad(*shown).maps)


@pytest.mark.parametrize("quick", [False, True])
def test_without_biases_relevance_adds_up_to_the_score(build_clip, build_pairs, quick):
    """Both kinds of GELU; what is no product with a picture, such as positions, is a bias."""
    model = copy.deepcopy(build_clip(seed=4))
    if quick:
        for block in model.visual.transformer.resblocks:
            block.mlp.gelu = open_clip_quick_gelu()
    for name, parameter in model.visual.named_parameters():
        if "bias" in name or "embedding" in name:
            parameter.data.zero_()
    images, tokens = build_pairs(3)
    found = libra_grad(model, images, tokens)
    torch.testing.assert_close(found.maps.sum((1, 2)) * AREA, found.scores)
    own = anatomy_of(model).scores(images, tokens).detach()
    torch.testing.assert_close(found.scores, own)
    assert not torch.allclose(attn_lrp(model, images, tokens).maps, found.maps)


def open_clip_quick_gelu():
    from open_clip.transformer import QuickGELU

    return QuickGELU()


def test_nothing_is_left_changed(shown):
    before = gradient(*shown).maps
    libra_grad(*shown)
    assert torch.equal(gradient(*shown).maps, before)
