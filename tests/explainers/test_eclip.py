"""Grad-ECLIP and Attention-ECLIP against a loop over full attention, and against each other."""

import itertools
import math

import pytest
import torch
from torch.nn import functional

from audit.explainers.attention_eclip import attention_eclip
from audit.explainers.eclip import own_size
from audit.explainers.grad_eclip import grad_eclip
from audit.models.anatomy import anatomy_of

WEIGHTS, HEADS, INPUTS = ("projected", "raw", "none"), ("released", "model"), ("model", "own-size")
VARIANTS = list(itertools.product(WEIGHTS, HEADS, INPUTS))


def slow_grad_eclip(model, image, token, *, weight, heads, size):
    """One pair, as the released code does it: full attention, gradients at all tokens, loops."""
    visual = model.visual
    x, grid = slow_embedding(visual, image, size)
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    block = visual.transformer.resblocks[-1]
    number = 1 if heads == "released" else block.attn.num_heads
    y = block.ln_1(x)
    width = y.shape[-1]
    q, k, v = (
        y @ block.attn.in_proj_weight[i * width : (i + 1) * width].T
        + block.attn.in_proj_bias[i * width : (i + 1) * width]
        for i in range(3)
    )
    each = width // number
    heads_out = []
    for h in range(number):
        part = slice(h * each, (h + 1) * each)
        attention = (q[..., part] @ k[..., part].mT / math.sqrt(each)).softmax(-1)
        heads_out.append(attention @ v[..., part])
    output = torch.cat(heads_out, -1).detach().requires_grad_()
    z = x + block.ls_1(block.attn.out_proj(output))
    z = z + block.ls_2(block.mlp(block.ln_2(z)))
    feature = functional.normalize(visual.ln_post(z)[:, 0] @ visual.proj, dim=-1)
    text = functional.normalize(model.encode_text(token[None]), dim=-1)
    score = (feature * text).sum()
    (gradient,) = torch.autograd.grad(score, output)
    if weight == "projected":
        q, k = block.attn.out_proj(q), block.attn.out_proj(k)
    cosines = torch.stack(
        [functional.cosine_similarity(q[0, 0], k[0, i], dim=0) for i in range(1, k.shape[1])]
    )
    scaled = (cosines - cosines.min()) / (cosines.max() - cosines.min())
    values = []
    for i in range(len(cosines)):
        total = sum(gradient[0, 0, c] * v[0, i + 1, c] for c in range(width))
        values.append(total * (1 if weight == "none" else scaled[i]))
    return torch.stack(values).relu().reshape(grid).detach(), score.detach()


def slow_embedding(visual, image, size):
    if size == "model":
        return visual._embeds(image[None]), visual.grid_size  # noqa: SLF001 - open_clip's own
    grid = tuple(max(s + 1, round(s * 4 / 3)) for s in visual.grid_size)
    pixels = (grid[0] * 8, grid[1] * 8)
    bigger = functional.interpolate(image[None], pixels, mode="bicubic", align_corners=False)
    patches = visual.conv1(bigger)[0].flatten(1).T
    table = visual.positional_embedding
    channels = table[1:].reshape(*visual.grid_size, -1).permute(2, 0, 1)[None]
    positions = functional.interpolate(channels, grid, mode="bicubic", align_corners=False)
    first = visual.class_embedding + table[0]
    rest = [patches[i] + positions[0, :, i // grid[1], i % grid[1]] for i in range(len(patches))]
    return visual.ln_pre(torch.stack([first, *rest])[None]), grid


@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
@pytest.mark.parametrize("fixture", ["clip", "wide_clip"])
def test_equals_the_released_way_in_slow_motion(fixture, variant, build_pairs, request):
    weight, heads, size = variant
    model = request.getfixturevalue(fixture)
    images, tokens = build_pairs(2, size=model.visual.image_size, share=2)
    found = grad_eclip(model, images, tokens, weight=weight, heads=heads, input=size)
    for i in range(2):
        expected, score = slow_grad_eclip(
            model, images[i], tokens[i], weight=weight, heads=heads, size=size
        )
        torch.testing.assert_close(found.maps[i], expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.scores[i], score, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("variant", VARIANTS, ids="-".join)
def test_attention_eclip_is_grad_eclip(variant, dtype, tolerance, build_clip, build_pairs):
    model = build_clip(seed=3, dtype=dtype)
    images, tokens = build_pairs(16, seed=4, dtype=dtype, share=2)
    options = dict(zip(("weight", "heads", "input"), variant, strict=True))
    one = grad_eclip(model, images, tokens, **options)
    other = attention_eclip(model, images, tokens, **options)
    low, high = one.maps.flatten(1).aminmax(dim=1)
    difference = (one.maps - other.maps).abs().flatten(1).amax(1)
    assert int((high > 0).sum()) > 12
    assert bool((difference <= tolerance * (high - low)).all()), difference / (high - low)
    torch.testing.assert_close(one.scores, other.scores, rtol=0, atol=tolerance)


@pytest.mark.parametrize("explain", [grad_eclip, attention_eclip])
def test_the_score_is_the_models_on_its_own_heads_alone(explain, clip, pairs):
    images, tokens = pairs
    true = anatomy_of(clip).scores(images, tokens).detach()
    same = explain(clip, images, tokens, heads="model").scores
    torch.testing.assert_close(same, true, rtol=0, atol=1e-12)
    assert float((explain(clip, images, tokens).scores - true).abs().min()) > 1e-4
    bigger = explain(clip, images, tokens, heads="model", input="own-size").scores
    assert float((bigger - true).abs().min()) > 1e-4


def test_options_change_the_map(clip, pairs):
    images, tokens = pairs
    maps = [
        grad_eclip(clip, images, tokens, weight=weight, heads=heads).maps
        for weight in WEIGHTS
        for heads in HEADS
    ]
    for one, other in itertools.combinations(maps, 2):
        assert float((one - other).abs().max()) > 1e-6


def test_own_size_of_the_same_grid_would_be_the_models_embedding(clip, pairs, monkeypatch):
    monkeypatch.setattr("audit.explainers.eclip.OWN_SIZE", 1)
    monkeypatch.setattr("builtins.max", lambda _, side: side)
    tower = anatomy_of(clip).image
    tokens, grid = own_size(tower, pairs[0])
    monkeypatch.undo()
    assert grid == tower.grid
    torch.testing.assert_close(tokens, tower.embed(pairs[0]), rtol=0, atol=1e-12)


def test_equal_cosines_give_no_nan(build_clip, build_pairs):
    model = build_clip(seed=5)
    with torch.no_grad():
        model.visual.transformer.resblocks[-1].attn.in_proj_weight[32:64] = 0
    maps = grad_eclip(model, *build_pairs(2)).maps
    assert bool(torch.isfinite(maps).all())
