"""Explainers whose own code leaves out, adds or exchanges a part of the image tower."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()
BOTH = "P104 P105"


def _finished(finish):
    def explain(model, images, tokens):
        return parts.grad_times_attention(model, images, tokens, finish=finish)

    return explain


@TABLE.faulty(BOTH)
def missing_residual(model, images, tokens):
    def finish(block, x, o):
        x = block.ls_1(block.attn.out_proj(o))
        return x + block.ls_2(block.mlp(block.ln_2(x)))

    return _finished(finish)(model, images, tokens)


@TABLE.faulty(BOTH)
def residual_of_normalized_tokens(model, images, tokens):
    def finish(block, x, o):
        x = block.ln_1(x) + block.ls_1(block.attn.out_proj(o))
        return x + block.ls_2(block.mlp(block.ln_2(x)))

    return _finished(finish)(model, images, tokens)


@TABLE.faulty(BOTH)
def missing_second_norm(model, images, tokens):
    def finish(block, x, o):
        x = x + block.ls_1(block.attn.out_proj(o))
        return x + block.ls_2(block.mlp(x))

    return _finished(finish)(model, images, tokens)


@TABLE.faulty("P104")
def missing_mlp(model, images, tokens):
    """The tokens between attention and MLP, a state of the model's, are read out as its last."""
    return _finished(lambda block, x, o: x + block.ls_1(block.attn.out_proj(o)))(
        model, images, tokens
    )


@TABLE.faulty(BOTH)
def missing_output_bias(model, images, tokens):
    def finish(block, x, o):
        x = x + block.ls_1(o @ block.attn.out_proj.weight.T)
        return x + block.ls_2(block.mlp(block.ln_2(x)))

    return _finished(finish)(model, images, tokens)


@TABLE.faulty(BOTH)
def another_activation(model, images, tokens):
    def finish(block, x, o):
        x = x + block.ls_1(block.attn.out_proj(o))
        h = block.mlp.c_fc(block.ln_2(x))
        return x + block.ls_2(block.mlp.c_proj(h * torch.sigmoid(1.702 * h)))

    return _finished(finish)(model, images, tokens)


@TABLE.faulty("P104 P105")
def another_epsilon_in_the_last_block(model, images, tokens):
    def finish(block, x, o):
        x = x + block.ls_1(block.attn.out_proj(o))
        y = F.layer_norm(x, x.shape[-1:], block.ln_2.weight, block.ln_2.bias, 0.3)
        return x + block.ls_2(block.mlp(y))

    return _finished(finish)(model, images, tokens)


def _tower_gradient(model, images, tokens, run):
    text = parts.text_unit(model, tokens)
    return parts.gradient_map(model, images, lambda x: (run(x) * text).sum(-1))


@TABLE.faulty(BOTH)
def layer_skipped(model, images, tokens):
    def run(pixels):
        x = parts.embed(model, pixels)
        for i, block in enumerate(model.visual.transformer.resblocks):
            x = x if i == 1 else block(x)
        return parts.readout(model, x)

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty("P104")
def last_block_left_out(model, images, tokens):
    def run(pixels):
        return parts.readout(
            model, parts.before(model, pixels, len(model.visual.transformer.resblocks) - 1)
        )

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty(BOTH)
def penultimate_block_twice(model, images, tokens):
    def run(pixels):
        blocks = model.visual.transformer.resblocks
        return parts.readout(model, blocks[-2](parts.before(model, pixels, len(blocks) - 1)))

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty(BOTH)
def missing_first_norm(model, images, tokens):
    def run(pixels):
        v = model.visual
        x = v.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([v.class_embedding.expand(len(x), 1, -1), x], 1) + v.positional_embedding
        return parts.readout(model, v.transformer(x))

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty(BOTH)
def missing_positions(model, images, tokens):
    def run(pixels):
        v = model.visual
        x = v.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([v.class_embedding.expand(len(x), 1, -1), x], 1)
        return parts.readout(model, v.transformer(v.ln_pre(x)))

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty(BOTH)
def patch_tokens_rolled_before_their_positions(model, images, tokens):
    def run(pixels):
        v = model.visual
        x = v.conv1(pixels).flatten(2).transpose(1, 2).roll(1, 1)
        x = torch.cat([v.class_embedding.expand(len(x), 1, -1), x], 1) + v.positional_embedding
        return parts.readout(model, v.transformer(v.ln_pre(x)))

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty(BOTH)
def class_token_dropped(model, images, tokens):
    """Pools the mean of the patches instead; no class token enters."""

    def run(pixels):
        x = model.visual.transformer(parts.embed(model, pixels)[:, 1:])
        return F.normalize(model.visual.ln_post(x.mean(1)) @ model.visual.proj, dim=-1)

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty("P104")
def missing_final_norm(model, images, tokens):
    def run(pixels):
        x = parts.before(model, pixels, len(model.visual.transformer.resblocks))
        return F.normalize(x[:, 0] @ model.visual.proj, dim=-1)

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty("P104")
def tokens_are_averaged(model, images, tokens):
    def run(pixels):
        x = parts.before(model, pixels, len(model.visual.transformer.resblocks))
        return F.normalize(model.visual.ln_post(x.mean(1)) @ model.visual.proj, dim=-1)

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty("P104")
def nudged_projection(model, images, tokens):
    nudged = (
        model.visual.proj.detach()
        * (1 + 0.02 * torch.linspace(-1, 1, len(model.visual.proj)))[:, None]
    )

    def run(pixels):
        x = parts.before(model, pixels, len(model.visual.transformer.resblocks))
        return F.normalize(model.visual.ln_post(x[:, 0]) @ nudged, dim=-1)

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty("P104")
def features_plus_a_bias(model, images, tokens):
    bias = 0.05 * torch.linspace(-1, 1, model.visual.proj.shape[1])
    return _tower_gradient(
        model, images, tokens, lambda x: F.normalize(model.encode_image(x) + bias, dim=-1)
    )


@TABLE.faulty("P104")
def features_with_a_channel_dropped(model, images, tokens):
    keep = torch.ones(model.visual.proj.shape[1])
    keep[0] = 0
    return _tower_gradient(
        model, images, tokens, lambda x: F.normalize(model.encode_image(x) * keep, dim=-1)
    )


@TABLE.faulty("P104")
def features_with_channels_rolled(model, images, tokens):
    return _tower_gradient(
        model, images, tokens, lambda x: model.encode_image(x, normalize=True).roll(1, -1)
    )


@TABLE.faulty("P104")
def features_raised_to_a_power(model, images, tokens):
    def run(pixels):
        feature = model.encode_image(pixels, normalize=True)
        return F.normalize(feature.sign() * feature.abs() ** 0.9, dim=-1)

    return _tower_gradient(model, images, tokens, run)


@TABLE.faulty("P104")
def half_of_the_feature(model, images, tokens):
    text = parts.text_unit(model, tokens)
    half = text.shape[1] // 2
    return parts.gradient_map(
        model,
        images,
        lambda x: (model.encode_image(x, normalize=True)[:, :half] * text[:, :half]).sum(-1),
    )


@TABLE.faulty("P104")
def score_of_an_inner_state(model, images, tokens):
    text = parts.text_unit(model, tokens)

    def score(pixels):
        x = parts.before(model, pixels, 2)[:, 0]
        return (x[:, : text.shape[1]] * text).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.faulty("P104")
def surrogate_scores_of_layers(model, images, tokens):
    """LeGrad: mean-pooled tokens of the last two blocks, sent through the readout."""
    text = parts.text_unit(model, tokens)
    total = 0
    x = parts.embed(model, images)
    blocks = model.visual.transformer.resblocks
    for i, block in enumerate(blocks):
        q, k, v = parts.qkv(block, block.ln_1(x))
        a = parts.attention(q, k)
        x = parts.after_attention(block, x, parts.merge(a @ v))
        if i >= len(blocks) - 2:
            feature = model.visual.ln_post(x.mean(1)) @ model.visual.proj
            score = (F.normalize(feature, dim=-1) * text).sum()
            (g,) = torch.autograd.grad(score, a, retain_graph=True)
            total = total + g.relu().mean((1, 2))[:, 1:]
    return parts.grid(model, total.detach())


@TABLE.faulty("P104")
def feature_norm(model, images, targets):
    """A scalar of the image feature alone: no score of the pair."""
    return parts.gradient_map(model, images, lambda x: model.encode_image(x).norm(dim=-1))


@TABLE.faulty("P103 P104")
def score_of_another_text(model, images, tokens):
    text = parts.text_unit(model, parts.class_prompts(tokens)[:1])
    parts.text_unit(model, tokens)
    return parts.gradient_map(
        model, images, lambda x: (model.encode_image(x, normalize=True) * text).sum(-1)
    )


@TABLE.faulty("P104")
def score_of_a_random_direction(model, images, tokens):
    text = torch.randn(1, model.visual.proj.shape[1], generator=torch.Generator().manual_seed(0))
    text = F.normalize(text, dim=-1)
    return parts.gradient_map(
        model, images, lambda x: (model.encode_image(x, normalize=True) * text).sum(-1)
    )
