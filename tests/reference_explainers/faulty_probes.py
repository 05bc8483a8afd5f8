"""Families of probes that have another model at their heart, each beside an unused clean pass."""

from __future__ import annotations

import torch

from tests.reference_explainers import parts, probing
from tests.reference_explainers.member import Table

TABLE = Table()


def _beside_a_clean_pass(probe, model, images, tokens, *change, **changes):
    with torch.no_grad():
        parts.cosine(model, images, tokens)
    return probe(model, images, tokens, *change, **changes)


def _knock_out(*given, **changes):
    return _beside_a_clean_pass(probing.knock_out, *given, **changes)


def _patching(*given):
    return _beside_a_clean_pass(probing.patching, *given)


@TABLE.faulty("P104 P105")
def knock_out_at_another_temperature(model, images, tokens):
    return _knock_out(model, images, tokens, lambda q, k, m: parts.attention(2 * q, k, m))


@TABLE.faulty("P104 P105")
def knock_out_of_keys_that_attend_to_keys(model, images, tokens):
    return _knock_out(model, images, tokens, lambda q, k, m: parts.attention(k, k, m))


@TABLE.faulty("P104 P105")
def knock_out_without_the_residual(model, images, tokens):
    def finish(block, x, o):
        del x
        return block.attn.out_proj(o)

    return _knock_out(model, images, tokens, finish=finish)


@TABLE.faulty("P104 P105")
def knock_out_without_the_mlp(model, images, tokens):
    return _knock_out(model, images, tokens, finish=lambda block, x, o: x + block.attn.out_proj(o))


@TABLE.faulty("P104 P105")
def three_kinds_of_self_attention(model, images, tokens):
    """Queries with queries, keys with keys, values with values, averaged: GEM on one block."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    parts.cosine(model, images, tokens)
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
    y = blocks[-1].ln_1(x).detach().requires_grad_()
    q, k, v = parts.qkv(blocks[-1], y)
    total = 0
    for z in (q, k, v):
        o = parts.merge(parts.attention(z, z) @ v)
        feature = parts.readout(model, parts.after_attention(blocks[-1], x, o))
        total = total + (feature * text).sum(-1)
    (g,) = torch.autograd.grad(total.sum(), y)
    return parts.grid(model, (g * y).sum(-1)[:, 1:].detach())


@TABLE.faulty("P104 P105")
def patching_of_amplified_tokens(model, images, tokens):
    return _patching(model, images, tokens, lambda x, index: 1.3 * x)


def _three_times(model, images, tokens, change):
    """Patching where what enters each block is changed from the third part of the runs on."""
    runs = 0

    def later(x, index):
        nonlocal runs
        runs += index == 1
        return change(x) if runs > 34 else x  # of 51

    return sum(_patching(model, images, tokens, later) for _ in range(3))


@TABLE.faulty("P104 P105")
def patching_where_later_runs_are_amplified(model, images, tokens):
    return _three_times(model, images, tokens, lambda x: 1.1 * x)


@TABLE.faulty("P104 P105")
def patching_where_later_runs_lack_the_class_token(model, images, tokens):
    def change(x):
        return torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], 1)

    return _three_times(model, images, tokens, change)


@TABLE.faulty("P104 P105")
def patching_where_the_second_block_lacks_the_class_token(model, images, tokens):
    def change(x, index):
        if index > 1:
            return x
        return torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:].roll(1, 1)], 1)

    return _patching(model, images, tokens, change)


@TABLE.faulty("P104 P105")
def text_knock_out_at_another_temperature(model, images, tokens):
    """One text token's key is closed in the last block, whose logits are doubled throughout."""
    text = parts.text_of(model)
    blocks = text.transformer.resblocks
    with torch.no_grad():
        image = model.encode_image(images, normalize=True)
        parts.cosine(model, images, tokens)
        x = parts.embed_text(model, tokens)
        causal = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
        for block in blocks[:-1]:
            x = block(x, attn_mask=causal)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))

        def score(token):
            mask = causal + probing.closed(x.shape[1], token)
            mask[0] = causal[0]
            y = parts.after_attention(
                blocks[-1], x, parts.merge(parts.attention(2 * q, k, mask) @ v)
            )
            return (parts.readout_text(model, y, tokens) * image).sum(-1)

        full = score(None)
        drops = [full - score(i) for i in range(1, x.shape[1])]
    return parts.token_result(images, torch.stack([torch.zeros_like(full), *drops], 1))


@TABLE.faulty("P104 P105")
def token_dropping_without_positions(model, images, tokens):
    text = parts.text_unit(model, tokens)
    generator = torch.Generator().manual_seed(0)
    visual = model.visual
    with torch.no_grad():
        parts.cosine(model, images, tokens)
        patches = visual.conv1(images).flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(patches), 1, -1)
        x = visual.ln_pre(torch.cat([first, patches], 1))
        total = torch.zeros(len(x), patches.shape[1])
        for _ in range(30):
            kept = torch.randperm(patches.shape[1], generator=generator)[: patches.shape[1] // 2]
            y = torch.cat([x[:, :1], x[:, 1:][:, kept]], 1)
            for block in visual.transformer.resblocks:
                y = block(y)
            total[:, kept] += (parts.readout(model, y) * text).sum(-1, keepdim=True)
    return parts.grid(model, total)


@TABLE.faulty("P104 P105")
def knock_out_where_the_class_token_never_attends_to_itself(model, images, tokens):
    def attend(q, k, mask):
        mask = mask.clone()
        mask[0] = -torch.inf
        return parts.attention(q, k, mask)

    return _knock_out(model, images, tokens, attend)


@TABLE.faulty("P105")
def score_straight_through_another_attention(model, images, tokens):
    """The value is the model's, the gradient is another network's."""
    text = parts.text_unit(model, tokens)
    x = images.clone().requires_grad_()
    y = parts.embed(model, x)
    for block in model.visual.transformer.resblocks:
        q, k, v = parts.qkv(block, block.ln_1(y))
        y = parts.after_attention(block, y, parts.merge(parts.attention(3 * q, k) @ v))
    score = (parts.readout(model, y) * text).sum(-1)
    with torch.no_grad():
        own = parts.cosine(model, images, tokens)
    (g,) = torch.autograd.grad((score + (own - score).detach()).sum(), x)
    return parts.pooled_grid(model, g.abs().sum(1))
