"""Maps of the tokens of a text, against other ways to say the same."""

import pytest
import torch
from torch.nn import functional

from audit.explainers.contract import run_explainer
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.registry import load_explainer
from audit.explainers.token_removal import without
from audit.models.anatomy import UnknownAnatomyError, anatomy_of
from tests.explainers.conftest import EOS

LAYERS, HEADS, WIDTH = 2, 4, 32
SPECS = [
    "text-gradient", "text-gradient?value=product", "text-integrated-gradients?steps=9",
    "text-grad-attention", "text-grad-eclip", "text-grad-eclip?heads=model&weight=raw",
    "text-game", "text-game?start=-1", "token-removal",
]  # fmt: skip
HONEST = [s for s in SPECS if s != "text-grad-eclip"]


@pytest.fixture
def shown(clip, build_pairs):
    images, tokens = build_pairs(5, share=2)
    tokens = tokens[[0, 0, 1, 1, 2]]  # texts are shared as well, and by other pairs than pictures
    return clip, images, tokens


def explained(spec, *given):
    return run_explainer(load_explainer(spec), *given)


def slow_text(model, token, feature, *, moves=None, embedded=None, heads=HEADS, first=0):
    """The text tower head by head; ``moves`` are added to the attention of the blocks.

    Returns:
        The score, and of each block attention, queries, keys, values and mixed values.
    """
    x = model.token_embedding(token) if embedded is None else embedded
    x = x + model.positional_embedding
    end, seen = int(token.argmax()), []
    for number, block in enumerate(model.transformer.resblocks):
        count = heads if number >= first else HEADS
        size, own = WIDTH // count, block.attn
        q, k, v = functional.linear(block.ln_1(x), own.in_proj_weight, own.in_proj_bias).chunk(
            3, -1
        )
        rows, mixed = [], []
        for h in range(count):
            part = slice(h * size, h * size + size)
            logits = q[:, part] @ k[:, part].T / size**0.5
            later = torch.ones(len(x), len(x)).triu(1).bool()
            a = logits.masked_fill(later, -torch.inf).softmax(-1)
            a = a if moves is None else a + moves[number][h]
            rows.append(a)
            mixed.append(a @ v[:, part])
        o = torch.cat(mixed, -1)
        seen.append((torch.stack(rows), q, k, v, o))
        x = x + own.out_proj(o)
        x = x + block.mlp(block.ln_2(x))
    found = functional.normalize(model.ln_final(x[end]) @ model.text_projection, dim=0)
    return found @ feature, seen


def picture(model, image):
    return model.encode_image(image[None], normalize=True)[0].detach()


def between(values, token):
    """The values at the tokens between start and end; 0 at all others."""
    end = int(token.argmax())
    found = torch.zeros(len(token), dtype=torch.float64)
    found[1:end] = values.detach()[1:end]
    return found


def compare(spec, shown, slow, tolerance=1e-11):
    model, images, tokens = shown
    found = explained(spec, *shown).token_maps
    for i, (image, token) in enumerate(zip(images, tokens, strict=True)):
        wanted = between(slow(model, token, picture(model, image)), token)
        torch.testing.assert_close(found[i], wanted, rtol=1e-9, atol=tolerance)
    assert bool(found.any())


@pytest.mark.parametrize("value", ["length", "product"])
def test_text_gradient(shown, value):
    def slow(model, token, feature):
        e = model.token_embedding(token).detach().requires_grad_()
        (slope,) = torch.autograd.grad(slow_text(model, token, feature, embedded=e)[0], e)
        if value == "product":
            return (slope * e).sum(-1)
        return slope.square().sum(-1).sqrt()

    compare(f"text-gradient?value={value}", shown, slow)


def test_integrated_gradients_add_up_to_the_rise_over_padding(shown):
    model, images, tokens = shown
    found = explained("text-integrated-gradients?steps=200", *shown)
    padded = tokens.clone()
    for row, end in zip(padded, tokens.argmax(1), strict=True):
        row[1:end] = 0
    score = anatomy_of(model).scores
    rise = (score(images, tokens) - score(images, padded)).detach()
    torch.testing.assert_close(found.token_maps.sum(1), rise, rtol=0, atol=1e-6)


def test_integrated_gradients_are_a_fine_sum_of_gradients(shown):
    def slow(model, token, feature):
        end = int(token.argmax())
        low = token.clone()
        low[1:end] = 0
        low, high = model.token_embedding(low).detach(), model.token_embedding(token).detach()
        total = torch.zeros_like(low)
        for step in range(200):
            e = (low + (step + 0.5) / 200 * (high - low)).requires_grad_()
            score, _ = slow_text(model, token, feature, embedded=e)
            total += torch.autograd.grad(score, e)[0] / 200
        return (total * (high - low)).sum(-1)

    compare("text-integrated-gradients?steps=100", shown, slow, tolerance=1e-4)


def by_attention(model, token, feature):
    moves = [torch.zeros(HEADS, 16, 16).double().requires_grad_() for _ in range(LAYERS)]
    score, seen = slow_text(model, token, feature, moves=moves)
    return [s[0] for s in seen], torch.autograd.grad(score, moves)


def test_text_grad_attention(shown):
    def slow(model, token, feature):
        attention, slopes = by_attention(model, token, feature)
        end = int(token.argmax())
        return sum(attention[-1][h, end] * slopes[-1][h, end] for h in range(HEADS)).clamp(min=0)

    compare("text-grad-attention", shown, slow)


@pytest.mark.parametrize("start", [0, 1, -1])
def test_text_game(shown, start):
    def slow(model, token, feature):
        attention, slopes = by_attention(model, token, feature)
        relevance = torch.eye(16, dtype=torch.float64)
        for a, slope in list(zip(attention, slopes, strict=True))[start:]:
            relevance = relevance + (a * slope).clamp(min=0).mean(0) @ relevance
        return relevance[int(token.argmax())]

    compare(f"text-game?start={start}", shown, slow)


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("blocks", [1, 8])
@pytest.mark.parametrize("weight", ["projected", "raw", "none"])
def test_text_grad_eclip(shown, heads, blocks, weight):
    def slow(model, token, feature):
        end, first = int(token.argmax()), max(0, LAYERS - blocks)
        score, seen = slow_text(model, token, feature, heads=heads, first=first)
        slopes = torch.autograd.grad(score, [s[4] for s in seen[first:]])
        total = torch.zeros(16, dtype=torch.float64)
        for block, (_, q, k, v, _), slope in zip(
            model.transformer.resblocks[first:], seen[first:], slopes, strict=True
        ):
            sent = block.attn.out_proj if weight == "projected" else torch.nn.Identity()
            rows = [functional.cosine_similarity(sent(q)[end], one, dim=0) for one in sent(k)]
            alike = torch.stack(rows)
            scale = (alike - alike.min()) / (alike.max() - alike.min())
            total += (v @ slope[end]) * (1 if weight == "none" else scale)
        kept = between(total.clamp(min=0), token)
        return kept / kept.sum() if bool(kept.any()) else kept

    spec = f"text-grad-eclip?heads={'released' if heads == 1 else 'model'}"
    compare(f"{spec}&blocks={blocks}&weight={weight}", shown, slow)


def test_grad_eclip_is_the_gradient_by_attention(shown):
    """Where all tokens weigh alike: sum over channels of g v is the derivative by attention."""
    model, images, tokens = shown
    found = explained("text-grad-eclip?heads=model&weight=none&blocks=8", *shown).token_maps
    for i, (image, token) in enumerate(zip(images, tokens, strict=True)):
        _, slopes = by_attention(model, token, picture(model, image))
        total = sum(slope[:, int(token.argmax())].sum(0) for slope in slopes)
        kept = between(total.clamp(min=0), token)
        torch.testing.assert_close(found[i], kept / kept.sum().clamp_min(1e-300))


def test_token_removal(shown):
    model, images, tokens = shown
    score = anatomy_of(model).scores

    def slow(model, token, feature):
        end, drops = int(token.argmax()), torch.zeros(16, dtype=torch.float64)
        own = model.encode_text(token[None], normalize=True)[0] @ feature
        for place in range(1, end):
            ids = token.tolist()
            del ids[place]
            left = torch.tensor([[*ids, 0]])
            drops[place] = own - model.encode_text(left, normalize=True)[0] @ feature
        return drops

    compare("token-removal", shown, slow)
    torch.testing.assert_close(
        explained("token-removal", *shown).scores, score(images, tokens).detach()
    )


def test_a_text_without_a_token():
    tokens = torch.tensor([[7, 1, 2, EOS], [7, 3, EOS, 0]])
    found = without(tokens, torch.tensor([1, 0]))
    assert found.tolist() == [[7, 2, EOS, 0], [3, EOS, 0, 0]]


@pytest.mark.parametrize("spec", SPECS)
def test_what_holds_of_every_map_of_tokens(spec, shown):
    model, images, tokens = shown
    found = explained(spec, *shown)
    assert not found.maps.any()
    assert found.maps.shape == (5, 4, 4)
    outside = torch.ones_like(tokens, dtype=torch.bool)
    for row, end in zip(outside, tokens.argmax(1), strict=True):
        row[1:end] = False
    assert not found.token_maps[outside].any()
    for i in range(5):
        alone = explained(spec, model, images[i : i + 1], tokens[i : i + 1]).token_maps
        torch.testing.assert_close(found.token_maps[i : i + 1], alone, rtol=0, atol=1e-11)


@pytest.mark.parametrize("spec", HONEST)
def test_honest_scores_are_the_models(spec, shown):
    model, images, tokens = shown
    wanted = anatomy_of(model).scores(images, tokens).detach()
    torch.testing.assert_close(explained(spec, *shown).scores, wanted)


def test_one_head_explains_another_score(shown):
    model, images, tokens = shown
    own = anatomy_of(model).scores(images, tokens).detach()
    released = explained("text-grad-eclip", *shown).scores
    assert float((released - own).abs().max()) > 1e-4


def test_a_text_without_tokens_has_an_empty_map(clip, build_pairs):
    images, tokens = build_pairs(2)
    tokens[:] = 0
    tokens[:, 0], tokens[:, 1] = 5, EOS
    for spec in SPECS:
        assert not explained(spec, clip, images, tokens).token_maps.any()


def test_other_text_towers_are_refused(shown, monkeypatch):
    model, images, tokens = shown
    monkeypatch.setattr(model, "text_pool_type", "last", raising=False)
    with pytest.raises(
        UnknownAnatomyError, match="expected a model with a text tower whose inside"
    ):
        explained("token-removal", model, images, tokens)


def test_they_are_refused_where_the_text_tower_is_not_known():
    from audit.explainers.binding import bound
    from tests.known_towers import known_model

    with pytest.raises(NeedsHeadsError, match=r"explains the tokens of a text.*of pictures"):
        bound(load_explainer("text-game"), known_model("timm class token"), None)
