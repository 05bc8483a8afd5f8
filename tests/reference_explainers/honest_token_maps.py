"""Honest explainers of token maps, by own code of other layouts, masks and poolings."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table
from tests.reference_explainers.text_towers import (
    attention_map,
    blocks_of,
    ends,
    every_block,
    gradient_map,
    image_unit,
    project,
    removal_map,
)

TABLE = Table()


def _modules(model):
    def run(e):
        return parts.text_of(model).transformer(e, attn_mask=parts.text_of(model).attn_mask)

    return run


def _later(length):
    return torch.ones(length, length, dtype=torch.bool).triu(1)


@TABLE.honest
def causal_mask_of_minus_infinity_by_own_code(model, images, tokens):
    mask = torch.full((tokens.shape[1],) * 2, -torch.inf).triu(1)
    return attention_map(model, images, tokens, every_block(model, mask))


@TABLE.honest
def causal_mask_of_a_large_negative(model, images, tokens):
    mask = -1e4 * _later(tokens.shape[1]).float()
    return attention_map(model, images, tokens, every_block(model, mask))


@TABLE.honest
def causal_mask_filled_in(model, images, tokens):
    later = _later(tokens.shape[1])

    def run(e):
        x = e
        for block in blocks_of(model):
            q, k, v = parts.qkv(block, block.ln_1(x))
            logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
            a = logits.masked_fill(later, torch.finfo(logits.dtype).min).softmax(-1)
            x = parts.after_attention(block, x, parts.merge(a @ v))
        return x, a

    return attention_map(model, images, tokens, run)


@TABLE.honest
def causal_attention_by_fused_kernel(model, images, tokens):
    def run(e):
        x = e
        for block in blocks_of(model):
            q, k, v = parts.qkv(block, block.ln_1(x))
            o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = parts.after_attention(block, x, parts.merge(o))
        return x

    return gradient_map(model, images, tokens, run)


@TABLE.honest
def text_tower_sequence_first(model, images, tokens):
    mask = parts.text_of(model).attn_mask

    def run(e):
        x = e.transpose(0, 1).contiguous()
        for block in blocks_of(model):
            y = block.ln_1(x)
            q, k, v = F.linear(y, block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(3, -1)
            heads = block.attn.num_heads
            q, k, v = (
                z.reshape(len(z), -1, z.shape[-1] // heads).transpose(0, 1) for z in (q, k, v)
            )
            a = (torch.bmm(q, k.mT) / q.shape[-1] ** 0.5 + mask).softmax(-1)
            o = torch.bmm(a, v).transpose(0, 1).reshape(x.shape)
            x = parts.after_attention(block, x, o)
        return x.transpose(0, 1)

    return gradient_map(model, images, tokens, run)


@TABLE.honest
def text_heads_one_by_one(model, images, tokens):
    mask = parts.text_of(model).attn_mask

    def run(e):
        x = e
        for block in blocks_of(model):
            q, k, v = parts.qkv(block, block.ln_1(x))
            each = [parts.attention(q[:, h], k[:, h], mask) @ v[:, h] for h in range(q.shape[1])]
            x = parts.after_attention(block, x, torch.cat(each, -1))
        return x

    return gradient_map(model, images, tokens, run)


@TABLE.honest
def pooled_by_the_index_of_the_end(model, images, tokens):
    def read(model, x, tokens):
        place = (tokens == tokens.max()).nonzero()[:, 1]
        place = place[:, None, None].expand(-1, 1, x.shape[-1])
        return project(model, parts.text_of(model).ln_final(x).gather(1, place)[:, 0])

    return gradient_map(model, images, tokens, _modules(model), read)


@TABLE.honest
def pooled_by_a_mask_of_one_token(model, images, tokens):
    def read(model, x, tokens):
        one = F.one_hot(tokens.argmax(-1), x.shape[1]).to(x.dtype)
        return project(model, torch.einsum("bt,btd->bd", one, parts.text_of(model).ln_final(x)))

    return gradient_map(model, images, tokens, _modules(model), read)


@TABLE.honest
def pooled_before_the_final_norm(model, images, tokens):
    def read(model, x, tokens):
        return project(model, parts.text_of(model).ln_final(x[ends(tokens)]))

    return attention_map(
        model, images, tokens, every_block(model, parts.text_of(model).attn_mask), read
    )


@TABLE.honest
def token_removal_by_own_code(model, images, tokens):
    def score(model, images, tokens):
        x, _ = every_block(model, parts.text_of(model).attn_mask)(parts.embed_text(model, tokens))
        return (parts.readout_text(model, x, tokens) * image_unit(model, images)).sum(-1)

    return removal_map(model, images, tokens, score)


def _scaled(model, attention):
    """All blocks with queries and keys scaled and compared by a given function."""
    mask = parts.text_of(model).attn_mask

    def run(e):
        x = e
        for block in blocks_of(model):
            q, k, v = parts.qkv(block, block.ln_1(x))
            a = attention(q, k, mask)
            x = parts.after_attention(block, x, parts.merge(a @ v))
        return x, a

    return run


@TABLE.honest
def text_attention_scaled_on_the_keys(model, images, tokens):
    def attention(q, k, mask):
        return (q @ (k / k.shape[-1] ** 0.5).mT + mask).softmax(-1)

    return attention_map(model, images, tokens, _scaled(model, attention))


@TABLE.honest
def text_attention_scaled_on_both_sides(model, images, tokens):
    def attention(q, k, mask):
        root = q.shape[-1] ** 0.25
        return ((q / root) @ (k / root).mT + mask).softmax(-1)

    return attention_map(model, images, tokens, _scaled(model, attention))


@TABLE.honest
def text_attention_by_exponentials(model, images, tokens):
    def attention(q, k, mask):
        logits = q @ k.mT / q.shape[-1] ** 0.5 + mask
        shifted = (logits - logits.amax(-1, keepdim=True)).exp()
        return shifted / shifted.sum(-1, keepdim=True)

    return attention_map(model, images, tokens, _scaled(model, attention))


@TABLE.honest
def gradients_of_texts_with_one_token_replaced(model, images, tokens):
    """The mean over the text and every text with one token of it replaced."""
    others = [tokens]
    for i in range(1, int(tokens.argmax(-1).min())):
        others.append(tokens.clone())
        others[-1][:, i] = 5
    found = [gradient_map(model, images, t, _modules(model)).token_maps for t in others]
    return parts.token_result(images, torch.stack(found).mean(0))
