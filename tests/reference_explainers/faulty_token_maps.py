"""Explainers of token maps with a fault in the mask, the pooling, the heads or the text."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table
from tests.reference_explainers.text_towers import (
    attend,
    attention_map,
    blocks_of,
    ends,
    gradient_map,
    image_unit,
    project,
    removal_map,
)

TABLE = Table()
BOTH = "P104 P105"


def _whole(model, *, mask=None, heads=None, temperature=1.0, first=0):
    """Run all blocks: those from ``first`` on by own code, the others as they are."""
    own, blocks = parts.text_of(model).attn_mask, blocks_of(model)
    mask = own if mask is None else mask

    def run(e):
        x = e
        for number, block in enumerate(blocks):
            if number < first % len(blocks):
                x = block(x, attn_mask=own)
            else:
                x, a = attend(block, x, mask, heads, temperature=temperature)
        return x, a

    return run


def _tokens(run):
    return lambda e: run(e)[0]


def _unmasked(model):
    return torch.zeros_like(parts.text_of(model).attn_mask)


# -- the causal mask ----------------------------------------------------------------------------


@TABLE.faulty(BOTH)
def causal_mask_dropped_in_the_last_text_block(model, images, tokens):
    return attention_map(model, images, tokens, _whole(model, mask=_unmasked(model), first=-1))


@TABLE.faulty(BOTH)
def causal_mask_upside_down(model, images, tokens):
    mask = parts.text_of(model).attn_mask.T
    return gradient_map(model, images, tokens, _tokens(_whole(model, mask=mask)))


@TABLE.faulty(BOTH)
def causal_mask_too_weak(model, images, tokens):
    mask = parts.text_of(model).attn_mask.clamp(min=-2)
    return gradient_map(model, images, tokens, _tokens(_whole(model, mask=mask)))


@TABLE.faulty(BOTH)
def causal_mask_of_strictly_earlier_tokens(model, images, tokens):
    length = tokens.shape[1]
    mask = torch.full((length, length), -torch.inf).triu(0)
    mask[0, 0] = 0
    return attention_map(model, images, tokens, _whole(model, mask=mask))


@TABLE.faulty(BOTH)
def token_removal_without_the_causal_mask(model, images, tokens):
    def score(model, images, tokens):
        x, _ = _whole(model, mask=_unmasked(model))(parts.embed_text(model, tokens))
        return (parts.readout_text(model, x, tokens) * image_unit(model, images)).sum(-1)

    return removal_map(model, images, tokens, score)


@TABLE.faulty(BOTH)
def text_attention_by_fused_kernel_without_mask(model, images, tokens):
    def run(e):
        x = e
        for block in blocks_of(model):
            q, k, v = parts.qkv(block, block.ln_1(x))
            o = F.scaled_dot_product_attention(q, k, v)
            x = parts.after_attention(block, x, parts.merge(o))
        return x

    return gradient_map(model, images, tokens, run)


# -- pooling ------------------------------------------------------------------------------------


def _read_at(place):
    def read(model, x, tokens):
        return project(model, place(parts.text_of(model).ln_final(x), tokens))

    return read


def _modules(model):
    def run(e):
        return parts.text_of(model).transformer(e, attn_mask=parts.text_of(model).attn_mask)

    return run


@TABLE.faulty("P104")
def pooled_at_the_start_of_the_text(model, images, tokens):
    read = _read_at(lambda x, tokens: x[:, 0])
    return gradient_map(model, images, tokens, _modules(model), read)


@TABLE.faulty("P104")
def pooled_before_the_end_of_the_text(model, images, tokens):
    read = _read_at(lambda x, tokens: x[torch.arange(len(x)), tokens.argmax(-1) - 1])
    return gradient_map(model, images, tokens, _modules(model), read)


@TABLE.faulty("P104")
def pooled_at_the_last_position_before_the_final_norm(model, images, tokens):
    def read(model, x, tokens):
        return project(model, parts.text_of(model).ln_final(x[:, -1]))

    return gradient_map(model, images, tokens, _modules(model), read)


@TABLE.faulty("P104")
def pooled_at_the_last_position_of_attention_maps(model, images, tokens):
    read = _read_at(lambda x, tokens: x[:, -1])
    return attention_map(model, images, tokens, _whole(model), read)


@TABLE.faulty("P104")
def pooled_as_the_mean_of_the_text(model, images, tokens):
    def mean(x, tokens):
        inside = torch.arange(x.shape[1]) <= tokens.argmax(-1)[:, None]
        return (x * inside[..., None]).sum(1) / inside.sum(1, keepdim=True)

    return gradient_map(model, images, tokens, _modules(model), _read_at(mean))


@TABLE.faulty("P104")
def token_removal_pooled_at_the_last_position(model, images, tokens):
    def score(model, images, tokens):
        x = _modules(model)(parts.embed_text(model, tokens))
        text = _read_at(lambda x, tokens: x[:, -1])(model, x, tokens)
        return (text * image_unit(model, images)).sum(-1)

    return removal_map(model, images, tokens, score)


# -- heads and temperature ----------------------------------------------------------------------


@TABLE.faulty(BOTH)
def one_head_in_the_last_text_block(model, images, tokens):
    return attention_map(model, images, tokens, _whole(model, heads=1, first=-1))


@TABLE.faulty(BOTH)
def twice_the_heads_in_the_text_tower(model, images, tokens):
    heads = 2 * blocks_of(model)[0].attn.num_heads
    return gradient_map(model, images, tokens, _tokens(_whole(model, heads=heads)))


@TABLE.faulty("P105")
def raw_attention_of_one_head_of_the_last_text_block(model, images, tokens):
    with torch.no_grad():
        _, a = _whole(model, heads=1, first=-1)(parts.embed_text(model, tokens))
    rows, end = ends(tokens)
    return parts.token_result(images, a[rows, 0, end])


@TABLE.faulty(BOTH)
def sharper_softmax_in_the_last_text_block(model, images, tokens):
    return attention_map(model, images, tokens, _whole(model, temperature=0.5, first=-1))


@TABLE.faulty(BOTH)
def text_attention_scaled_by_the_width(model, images, tokens):
    heads = blocks_of(model)[0].attn.num_heads
    return gradient_map(model, images, tokens, _tokens(_whole(model, temperature=heads**0.5)))


@TABLE.faulty(BOTH)
def text_attention_without_scale(model, images, tokens):
    attn = blocks_of(model)[0].attn
    temperature = (attn.embed_dim // attn.num_heads) ** -0.5
    return attention_map(model, images, tokens, _whole(model, temperature=temperature))


# -- the text -----------------------------------------------------------------------------------


@TABLE.faulty("P103 P104")
def one_token_replaced(model, images, tokens):
    other = tokens.clone()
    other[:, 3] = (tokens[:, 3] + 7) % 90 + 1
    return gradient_map(model, images, other, _modules(model))


@TABLE.faulty("P103 P104")
def two_tokens_exchanged(model, images, tokens):
    other = tokens.clone()
    other[:, 2], other[:, 4] = tokens[:, 4], tokens[:, 2]
    return attention_map(model, images, other, _whole(model, first=-1))


@TABLE.faulty("P103 P104")
def token_map_of_a_text_cut_short(model, images, tokens):
    other = tokens.clone()
    other[:, 6], other[:, 7:] = tokens.max(), 0
    return gradient_map(model, images, other, _modules(model))


@TABLE.faulty(BOTH)
def context_sliced_without_mask(model, images, tokens):
    length = int(tokens.argmax(-1).max()) + 1
    mask = _unmasked(model)[:length, :length]
    return gradient_map(
        model, images, tokens, lambda e: _tokens(_whole(model, mask=mask))(e[:, :length])
    )


@TABLE.faulty("P103 P104")
def context_sliced_before_the_end(model, images, tokens):
    length = int(tokens.argmax(-1).max())
    shorter = tokens[:, :length]
    mask = parts.text_of(model).attn_mask[:length, :length]
    found = gradient_map(
        model, images, shorter, lambda e: parts.text_of(model).transformer(e, attn_mask=mask)
    )
    return parts.token_result(images, F.pad(found.token_maps, (0, tokens.shape[1] - length)))


@TABLE.faulty("P104")
def pooled_at_the_last_position_after_the_projection(model, images, tokens):
    def read(model, x, tokens):
        return project(model, parts.text_of(model).ln_final(x))[:, -1]

    return gradient_map(model, images, tokens, _modules(model), read)
