"""The methods on the true attention of the last block, against slow oracles."""

import pytest
import torch
from torch.nn import functional

from audit.explainers.attention_logit_gradient import attention_logit_gradient
from audit.explainers.grad_attention import grad_attention
from audit.explainers.last_block import attention_gradient, last_block
from audit.explainers.raw_attention import raw_attention
from audit.models.anatomy import anatomy_of


def slow_parts(model, image, token):
    """Logits and attention of the class token, and the score as a function of attention rows."""
    visual, last = model.visual, model.visual.transformer.resblocks[-1]
    x = visual._embeds(image[None])  # noqa: SLF001 - open_clip's own
    for block in visual.transformer.resblocks[:-1]:
        x = block(x)
    attn = last.attn
    q, k, v = functional.linear(last.ln_1(x), attn.in_proj_weight, attn.in_proj_bias).chunk(3, -1)
    heads, each = attn.num_heads, q.shape[-1] // attn.num_heads
    split = [z[0].reshape(-1, heads, each).transpose(0, 1) for z in (q, k, v)]
    logits = (split[0] @ split[1].mT / each**0.5).detach()
    text = model.encode_text(token[None], normalize=True)[0].detach()

    def score(rows):
        full = torch.cat([rows[:, None], logits.softmax(-1)[:, 1:]], dim=1)
        output = (full @ split[2]).transpose(0, 1).reshape(1, -1, heads * each)
        z = x + last.ls_1(attn.out_proj(output))
        z = z + last.ls_2(last.mlp(last.ln_2(z)))
        feature = visual.ln_post(z)[0, 0] @ visual.proj
        return functional.normalize(feature, dim=0) @ text

    return logits[:, 0], logits[:, 0].softmax(-1), score


@pytest.mark.parametrize("fixture", ["clip", "wide_clip"])
def test_grad_attention(fixture, build_pairs, request):
    model = request.getfixturevalue(fixture)
    images, tokens = build_pairs(3, size=model.visual.image_size)
    found = grad_attention(model, images, tokens)
    for i in range(3):
        _, attention, score = slow_parts(model, images[i], tokens[i])
        slope = torch.autograd.functional.jacobian(score, attention)
        expected = sum(attention[h] * slope[h] for h in range(len(slope)))[1:].relu()
        torch.testing.assert_close(
            found.maps[i], expected.reshape(model.visual.grid_size), rtol=0, atol=1e-12
        )
        torch.testing.assert_close(found.scores[i], score(attention).detach(), rtol=0, atol=1e-12)


def test_attention_logit_gradient(clip, pairs):
    images, tokens = pairs
    found = attention_logit_gradient(clip, images, tokens)
    for i in range(3):
        logits, _, score = slow_parts(clip, images[i], tokens[i])
        slope = torch.autograd.functional.jacobian(lambda z, s=score: s(z.softmax(-1)), logits)
        expected = slope.sum(0)[1:].reshape(clip.visual.grid_size)
        torch.testing.assert_close(found.maps[i], expected, rtol=0, atol=1e-12)
    assert float(found.maps.min()) < 0


def test_attention_gradient_by_finite_differences(clip, pairs):
    """The identity behind Attention-ECLIP, with no derivative rule: sum_c g_c v_ic = dS/da_i."""
    images, tokens = pairs[0][:1], pairs[1][:1]
    seen = last_block(clip, images, tokens)
    attention = seen.attention()
    _, gradient = attention_gradient(seen, attention)
    step = 1e-5
    for head in range(4):
        for token in range(attention.shape[-1]):
            ends = []
            for sign in (1, -1):
                moved = attention.clone()
                moved[0, head, 0, token] += sign * step
                ends.append(seen.scores(seen.block.mix_values(moved, seen.v)))
            slope = (ends[0] - ends[1]) / (2 * step)
            found = float(gradient[0, head, 0, token])
            assert float(slope.detach()) == pytest.approx(found, abs=1e-8)


def test_raw_attention_is_what_the_module_reports(clip, pairs):
    images, tokens = pairs
    found = raw_attention(clip, images, tokens)
    tower = anatomy_of(clip).image
    x = tower.run(tower.embed(images), 0, 2)
    y = tower.blocks[-1].normalize(x)
    _, weights = tower.blocks[-1].attention_module(y, y, y, need_weights=True)
    torch.testing.assert_close(
        found.maps.flatten(1), weights[:, 0, 1:].detach(), rtol=0, atol=1e-12
    )
    assert found.scores is None


def test_raw_attention_of_one_head_is_that_of_the_full_width(clip, pairs):
    images, tokens = pairs
    tower = anatomy_of(clip).image
    q, k, _ = tower.blocks[-1].qkv(
        tower.blocks[-1].normalize(tower.run(tower.embed(images), 0, len(tower.blocks) - 1))
    )
    row = (q[:, :1] @ k.mT / q.shape[-1] ** 0.5).softmax(-1)[:, 0, 1:].detach()
    found = raw_attention(clip, images, tokens, heads="released").maps
    torch.testing.assert_close(found.flatten(1), row, rtol=0, atol=1e-12)
    assert not torch.allclose(found, raw_attention(clip, images, tokens).maps)
    larger = raw_attention(clip, images, tokens, heads="released", input="own-size").maps
    assert larger.shape[-1] > found.shape[-1]


def test_raw_attention_reads_no_text(clip, pairs):
    images, tokens = pairs
    assert torch.equal(
        raw_attention(clip, images, tokens).maps, raw_attention(clip, images, tokens.flip(0)).maps
    )
