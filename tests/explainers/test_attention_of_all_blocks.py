"""Methods that read the attention of several blocks, against their definitions head by head."""

import pytest
import torch

from audit.explainers.attcat import attcat
from audit.explainers.game import game
from audit.explainers.grad_sam import grad_sam
from audit.explainers.legrad import legrad
from audit.explainers.raw_attention import raw_attention
from audit.explainers.rollout import rollout
from audit.explainers.tam import tam
from tests.slow_blocks import feature_of, slow_pass, slow_slopes, text_of

PAIRS = 3


@pytest.fixture(scope="module")
def seen(wide_clip, build_pairs):
    """A model whose grid is no square, pairs of which two share a picture, and slow passes."""
    images, tokens = build_pairs(PAIRS, size=(24, 40), share=2)
    slow = [
        slow_slopes(wide_clip, i, text_of(wide_clip, t))
        for i, t in zip(images, tokens, strict=True)
    ]
    return wide_clip, images, tokens, slow


def same(found, wanted):
    wanted = [w.detach()[1:].reshape(3, 5) for w in wanted]
    torch.testing.assert_close(found, torch.stack(wanted), rtol=0, atol=1e-12)


@pytest.mark.parametrize("start", [0, 1, -1])
def test_rollout(seen, start):
    model, images, tokens, slow = seen
    wanted = []
    for found, _, _ in slow:
        product = torch.eye(16, dtype=torch.float64)
        for a in found.attention[start:]:
            mixed = a.mean(0) + torch.eye(16, dtype=torch.float64)
            product = mixed / mixed.sum(1, keepdim=True) @ product
        wanted.append(product[0])
    same(rollout(model, images, tokens, start=start).maps, wanted)


def test_the_rollout_of_one_block_is_half_its_raw_attention(seen):
    model, images, tokens, _ = seen
    last = rollout(model, images, tokens, start=-1).maps
    torch.testing.assert_close(last * 2, raw_attention(model, images, tokens).maps)


@pytest.mark.parametrize("start", [0, -2])
def test_grad_sam(seen, start):
    model, images, tokens, slow = seen
    wanted = [
        sum((a * g.clamp(min=0)).mean(0)[0] for a, g in zip(f.attention, s, strict=True))
        if start == 0
        else sum((f.attention[i] * s[i].clamp(min=0)).mean(0)[0] for i in (1, 2))
        for f, s, _ in slow
    ]
    count = {0: 3, -2: 2}[start]
    same(grad_sam(model, images, tokens, start=start).maps, [w / count for w in wanted])


@pytest.mark.parametrize("start", [0, 1, -1])
def test_game(seen, start):
    model, images, tokens, slow = seen
    wanted = []
    for found, slopes, _ in slow:
        relevance = torch.eye(16, dtype=torch.float64)
        for a, g in list(zip(found.attention, slopes, strict=True))[start:]:
            relevance = relevance + (a * g).clamp(min=0).mean(0) @ relevance
        wanted.append(relevance[0])
    same(game(model, images, tokens, start=start).maps, wanted)


@pytest.mark.parametrize("where", ["input", "output"])
def test_attcat(seen, where):
    model, images, tokens, slow = seen
    shift = {"input": 0, "output": 1}[where]
    wanted = [
        sum(
            (states.states[b + shift] * by_state[b + shift]).sum(-1)
            * states.attention[b].mean((0, 1))
            for b in range(3)
        )
        for states, _, by_state in slow
    ]
    same(attcat(model, images, tokens, tokens=where).maps, wanted)


def test_attcat_of_what_leaves_the_last_block_is_zero_at_the_patches(seen):
    model, images, tokens, _ = seen
    assert not bool(attcat(model, images, tokens, tokens="output", start=-1).maps.any())


def test_legrad_as_released(seen):
    model, images, tokens, slow = seen
    wanted = []
    for i in range(PAIRS):
        text, total = text_of(model, tokens[i]), 0
        for block in (1, 2):
            moves = [torch.zeros(4, 16, 16, dtype=torch.float64) for _ in range(3)]
            moves[block].requires_grad_()
            found = slow_pass(model, images[i], text, moves)
            score = feature_of(model, found.states[block + 1].mean(0)) @ text
            (slope,) = torch.autograd.grad(score, moves[block])
            total = total + slope.clamp(min=0).mean((0, 1))
        wanted.append(total)
    found = legrad(model, images, tokens)
    same(found.maps, wanted)
    torch.testing.assert_close(found.scores[-1], score.detach(), rtol=0, atol=1e-12)
    own = torch.stack([f.score.detach() for f, _, _ in slow])
    assert float((found.scores - own).abs().min()) > 1e-3


def test_legrad_of_the_models_own_score(seen):
    model, images, tokens, slow = seen
    wanted = [sum(g.clamp(min=0).mean((0, 1)) for g in s) for _, s, _ in slow]
    same(legrad(model, images, tokens, start=0, score="model").maps, wanted)


def test_tam(seen):
    model, images, tokens, slow = seen
    wanted = []
    for i in range(PAIRS):
        attention = [a.mean(0) for a in slow[i][0].attention]
        state = attention[2][0]
        state = state + state @ attention[1]
        slopes = [
            slow_slopes(model, images[i] * share, text_of(model, tokens[i]))[1][2]
            for share in (0, 0.5, 1)
        ]
        weight = (sum(slopes) / 3).clamp(min=0).mean(0)[0]
        wanted.append(state * weight)
    same(tam(model, images, tokens, start=1, steps=3).maps, wanted)


@pytest.mark.parametrize("explain", [grad_sam, attcat, game, legrad, tam])
def test_the_scores_are_those_of_the_slow_pass(seen, explain):
    if explain is legrad:
        explain = lambda *args: legrad(*args, score="model")  # noqa: E731
    model, images, tokens, slow = seen
    own = torch.stack([f.score.detach() for f, _, _ in slow])
    torch.testing.assert_close(explain(model, images, tokens).scores, own, rtol=0, atol=1e-12)


@pytest.mark.parametrize("explain", [rollout, grad_sam, attcat, game, legrad, tam])
def test_a_block_that_is_not_there(explain, clip, pairs):
    with pytest.raises(ValueError, match=r"expected start in -3 to 2, .* 3 blocks, got 3"):
        explain(clip, *pairs, start=3)


def test_too_few_steps(clip, pairs):
    with pytest.raises(ValueError, match="expected at least 2 steps"):
        tam(clip, *pairs, steps=1)
