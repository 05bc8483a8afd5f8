"""Methods that run the model otherwise on purpose, against other ways to say the same."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from audit.explainers.atman import atman
from audit.explainers.attention_pass import pairs_of
from audit.explainers.caap import caap, patched, windows_of_tokens
from audit.explainers.clip_surgery import clip_surgery
from audit.explainers.m2ib import m2ib
from audit.explainers.maskclip import maskclip
from audit.explainers.released_text import released_text_features
from audit.models.anatomy import anatomy_of
from tests.slow_blocks import feature_of, text_of


@pytest.fixture(scope="module")
def shown(wide_clip, build_pairs):
    images, tokens = build_pairs(3, size=(24, 40), share=2)
    return SimpleNamespace(model=wide_clip, images=images, tokens=tokens)


@pytest.fixture(autouse=True)
def no_graph(request):
    with torch.set_grad_enabled("m2ib" in request.node.name):
        yield


def blocks_of(model):
    return model.visual.transformer.resblocks


def entering(model, image, block):
    x = model.visual._embeds(image[None])  # noqa: SLF001 - open_clip's own
    for one in blocks_of(model)[:block]:
        x = one(x)
    return x


def same(found, wanted, tolerance=1e-12):
    wanted = torch.stack([w.reshape(3, 5) for w in wanted])
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("attention", ["none", "model"])
def test_maskclip_is_a_last_block_whose_tokens_see_only_themselves(shown, attention, keys):
    found = maskclip(shown.model, shown.images, shown.tokens, attention=attention, keys=keys)
    last, wanted = blocks_of(shown.model)[-1], []
    alone = torch.full((16, 16), -torch.inf, dtype=torch.float64).fill_diagonal_(0)
    for image, token in zip(shown.images, shown.tokens, strict=True):
        x = entering(shown.model, image, 2)
        out = last(x, attn_mask=alone if attention == "none" else None)[0, 1:]
        cosine = feature_of(shown.model, out) @ text_of(shown.model, token)
        if keys:
            own = last.attn
            k = functional.linear(last.ln_1(x)[0], own.in_proj_weight, own.in_proj_bias)[:, 32:64]
            k = functional.normalize(k, dim=-1)
            cosine = cosine * (k[1:] @ k[0])
        wanted.append(cosine)
    same(found, wanted)


def value_value(model):
    """The model with values in the place of queries and keys in its last blocks."""
    other = copy.deepcopy(model)
    for block in blocks_of(other):
        for kind in (block.attn.in_proj_weight, block.attn.in_proj_bias):
            q, k, v = kind.data.chunk(3)
            q.copy_(v)
            k.copy_(v)
    return other


@pytest.mark.parametrize("blocks", [1, 2, 6])
@pytest.mark.parametrize("features", ["plain", "surgery"])
def test_clip_surgery(shown, build_pairs, blocks, features):
    _, classes = build_pairs(4, seed=8)
    classes = torch.cat([classes, shown.tokens[:2]])
    found = clip_surgery(
        shown.model, shown.images, shown.tokens, blocks=blocks, features=features, classes=classes
    )
    alike, wanted = value_value(shown.model), []
    for image, token in zip(shown.images, shown.tokens, strict=True):
        own = new = entering(shown.model, image, max(0, 3 - blocks))
        for block, other in list(zip(blocks_of(shown.model), blocks_of(alike), strict=True))[
            max(0, 3 - blocks) :
        ]:
            y = other.ln_1(own)
            new = new + other.ls_1(other.attn(y, y, y, need_weights=False)[0])
            own = block(own)
        patches = feature_of(shown.model, new[0, 1:])
        others = [c for c in classes if not torch.equal(c, token)]
        texts = torch.stack([text_of(shown.model, t) for t in (token, *others)])
        if features == "plain":
            wanted.append(patches @ texts[0])
            continue
        chance = (2 * feature_of(shown.model, own[0, 0]) @ texts.T).softmax(0)
        products = patches[:, None] * texts * (chance / chance.mean())[None, :, None]
        wanted.append((products - products.mean(1, keepdim=True)).sum(-1)[:, 0])
    same(found.maps, wanted)
    own = anatomy_of(shown.model).scores(shown.images, shown.tokens)
    torch.testing.assert_close(found.scores, own)


def test_clip_surgery_without_classes_shows_the_cosine(shown):
    args = (shown.model, shown.images, shown.tokens)
    assert torch.equal(clip_surgery(*args).maps, clip_surgery(*args, features="plain").maps)


@pytest.mark.parametrize("factor", [0.1, 1.0])
def test_atman(shown, factor):
    found = atman(shown.model, shown.images[1:], shown.tokens[1:], factor=factor)
    score = anatomy_of(shown.model).scores(shown.images, shown.tokens)
    wanted = []
    for i in (1, 2):
        drops = []
        for place in range(1, 16):
            x = entering(shown.model, shown.images[i], 0)[0]
            for block in blocks_of(shown.model):
                own, heads = block.attn, []
                q, k, v = functional.linear(
                    block.ln_1(x), own.in_proj_weight, own.in_proj_bias
                ).chunk(3, -1)
                for h in range(4):
                    part = slice(8 * h, 8 * h + 8)
                    logits = q[:, part] @ k[:, part].T / 8**0.5
                    logits = logits - logits.min(dim=1, keepdim=True).values
                    logits[:, place] *= factor
                    heads.append(logits.softmax(-1) @ v[:, part])
                x = x + block.ls_1(own.out_proj(torch.cat(heads, -1)))
                x = x + block.ls_2(block.mlp(block.ln_2(x)))
            left = feature_of(shown.model, x[0]) @ text_of(shown.model, shown.tokens[i])
            drops.append(score[i] - left)
        wanted.append(torch.stack(drops))
    same(found.maps, wanted)
    assert factor < 1 or float(found.maps.abs().max()) < 1e-14


@pytest.mark.parametrize("options", [{}, {"start": 0, "stop": 3, "window": 3}, {"start": 1}])
def test_caap_by_hooks(shown, options):
    found = caap(shown.model, shown.images, shown.tokens, **options)
    first, end = options.get("start", 0), options.get("stop", 2)
    reach = options.get("window", 1) // 2
    blank = torch.zeros_like(shown.images[:1])
    wanted = []
    for image, token in zip(shown.images, shown.tokens, strict=True):
        text = text_of(shown.model, token)
        states = [entering(shown.model, image, b) for b in range(first, end)]
        gains = []
        for row in range(3):
            for column in range(5):
                near = [
                    1 + 5 * y + x
                    for y in range(max(0, row - reach), min(3, row + reach + 1))
                    for x in range(max(0, column - reach), min(5, column + reach + 1))
                ]

                def put(_, args, state, near=near):
                    x = args[0].clone()
                    x[:, near] = state[:, near]
                    return (x, *args[1:])

                handles = [
                    block.register_forward_pre_hook(lambda m, a, s=s, put=put: put(m, a, s))
                    for block, s in zip(blocks_of(shown.model)[first:end], states, strict=True)
                ]
                gains.append(shown.model.encode_image(blank, normalize=True)[0] @ text)
                for handle in handles:
                    handle.remove()
        empty = shown.model.encode_image(blank, normalize=True)[0] @ text
        wanted.append(torch.stack(gains) - empty)
    same(found.maps, wanted)


def test_to_put_in_all_tokens_is_the_picture_and_none_the_empty_one(shown):
    pairs = pairs_of(shown.model, shown.images, shown.tokens)
    tower, pictures = pairs.tower, pairs.images
    source, blank = (tower.run(tower.embed(p), 0, 1) for p in (pictures, 0 * pictures))
    for chosen, picture in ((True, pictures), (False, 0 * pictures)):
        every = torch.full(source.shape[:2], chosen)
        torch.testing.assert_close(
            patched(pairs, [source], blank, every, 1),
            shown.model.encode_image(picture, normalize=True),
        )


def test_windows_of_tokens_leave_the_class_token_alone():
    windows = windows_of_tokens((3, 5), 3, 16)
    assert windows.shape == (15, 16)
    assert not bool(windows[:, 0].any())
    assert windows.sum(1).tolist() == [4, 6, 6, 6, 4, 6, 9, 9, 9, 6, 4, 6, 6, 6, 4]


def test_caap_of_blocks_that_are_not_there(shown):
    with pytest.raises(ValueError, match=r"0 <= start < stop <= 3, .* got 2 and 2"):
        caap(shown.model, shown.images, shown.tokens, start=2, stop=2)


def test_caap_from_a_blurred_picture_is_another_map(shown):
    args = (shown.model, shown.images, shown.tokens)
    assert not torch.allclose(caap(*args).maps, caap(*args, neutral="blurred").maps)


def test_m2ib(shown):
    found = m2ib(shown.model, shown.images, shown.tokens, steps=3, copies=2, seed=4)
    wanted = []
    for image, token in zip(shown.images, shown.tokens, strict=True):
        z = entering(shown.model, image, 2).detach()[0]
        draws = torch.Generator().manual_seed(4)
        alpha = torch.full_like(z, 5.0, requires_grad=True)
        optimizer = torch.optim.Adam([alpha], lr=1)
        for _ in range(3):
            gate = torch.sigmoid(alpha)
            spread = kl_divergence(Normal(gate * z, 1 - gate), Normal(0.0, 1.0))
            noise = torch.randn(2, *z.shape, generator=draws).double()
            mixed = [blocks_of(shown.model)[2]((gate * z + (1 - gate) * n)[None]) for n in noise]
            text = text_of(shown.model, token)
            scores = [feature_of(shown.model, x[0, 0]) @ text for x in mixed]
            loss = 0.1 * spread.mean() - sum(scores) / 2
            optimizer.zero_grad()
            loss.backward(inputs=[alpha])
            optimizer.step()
        wanted.append(spread.detach().sum(-1)[1:])
    same(found.maps, wanted, tolerance=1e-8)


def test_m2ib_with_the_released_text(shown):
    with pytest.raises(ValueError, match="expected a square text projection"):
        m2ib(shown.model, shown.images, shown.tokens, text="released")


def test_the_released_text(build_clip, build_pairs):
    model, (_, tokens) = copy.deepcopy(build_clip(seed=2)), build_pairs(3)
    projection = torch.randn(32, 32).double()
    model.text_projection = torch.nn.Parameter(projection)
    found = released_text_features(model, tokens)
    x = model.token_embedding(tokens) + model.positional_embedding
    x = model.ln_final(model.transformer(x, attn_mask=None))[:, -1]
    wanted = functional.normalize(x @ projection @ projection, dim=-1)
    torch.testing.assert_close(found, wanted)
    assert not torch.allclose(found, model.encode_text(tokens, normalize=True), atol=0.1)


@pytest.mark.parametrize("option", [{"steps": 0}, {"copies": 0}])
def test_m2ib_without_steps(shown, option):
    with pytest.raises(ValueError, match="expected steps and copies of at least 1"):
        m2ib(shown.model, shown.images, shown.tokens, **option)
