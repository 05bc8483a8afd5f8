"""Honest explainers of token maps that leave out what no token up to the end of a text sees."""

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
    every_block,
    gradient_map,
    image_unit,
    project,
    removal_map,
)

TABLE = Table()


def _sliced(model, tokens):
    """The tower on the context up to the end of the longest text, which the mask makes exact."""
    length = int(tokens.argmax(-1).max()) + 1
    mask = parts.text_of(model).attn_mask[:length, :length]
    return length, mask


@TABLE.honest
def context_sliced_at_the_end_by_own_code(model, images, tokens):
    length, mask = _sliced(model, tokens)

    def run(e):
        return every_block(model, mask)(e[:, :length])

    return attention_map(model, images, tokens, run)


@TABLE.honest
def context_sliced_at_the_end_in_module_calls(model, images, tokens):
    length, mask = _sliced(model, tokens)

    def run(e):
        return parts.text_of(model).transformer(e[:, :length], attn_mask=mask)

    return gradient_map(model, images, tokens, run)


@TABLE.honest
def token_ids_sliced_at_the_end(model, images, tokens):
    length, mask = _sliced(model, tokens)
    shorter = tokens[:, :length]

    def run(e):
        return parts.text_of(model).transformer(e, attn_mask=mask)

    found = gradient_map(model, images, shorter, run)
    return parts.token_result(images, F.pad(found.token_maps, (0, tokens.shape[1] - length)))


@TABLE.honest
def query_of_the_end_alone_in_the_last_text_block(model, images, tokens):
    mask = parts.text_of(model).attn_mask
    *earlier, block = blocks_of(model)
    x = parts.embed_text(model, tokens)
    for one in earlier:
        x = one(x, attn_mask=mask)
    x = x.detach()
    q, k, v = parts.qkv(block, block.ln_1(x))
    rows, end = ends(tokens)
    a = parts.attention(
        q[rows, :, end][:, :, None], k, parts.text_of(model).attn_mask[end][:, None, None]
    )
    a = a.detach().requires_grad_()
    o = (a @ v.detach()).flatten(1)
    y = parts.after_attention(block, x[rows, end], o)
    text = project(model, parts.text_of(model).ln_final(y))
    (g,) = torch.autograd.grad((text * image_unit(model, images)).sum(), a)
    return parts.token_result(images, (g * a)[:, :, 0].sum(1).relu().detach())


@TABLE.honest
def padding_hidden_as_well(model, images, tokens):
    """Attention to what follows the end is cut off, which no token up to the end can see."""
    after = torch.arange(tokens.shape[1]) > tokens.argmax(-1)[:, None]
    mask = parts.text_of(model).attn_mask + torch.where(after, -1e4, 0.0)[:, None, None]
    return gradient_map(model, images, tokens, lambda e: every_block(model, mask)(e)[0])


@TABLE.honest
def token_removal_on_a_shorter_context(model, images, tokens):
    length, mask = _sliced(model, tokens)

    def score(model, images, tokens):
        x = parts.text_of(model).transformer(
            parts.embed_text(model, tokens[:, :length]), attn_mask=mask
        )
        return (parts.readout_text(model, x, tokens) * image_unit(model, images)).sum(-1)

    return removal_map(model, images, tokens, score)


@TABLE.honest
def context_sliced_behind_the_end(model, images, tokens):
    """Two tokens of padding stay."""
    length = _sliced(model, tokens)[0] + 2
    mask = parts.text_of(model).attn_mask[:length, :length]
    return gradient_map(model, images, tokens, lambda e: every_block(model, mask)(e[:, :length])[0])


@TABLE.honest
def context_sliced_before_the_last_text_block(model, images, tokens):
    length, mask = _sliced(model, tokens)
    *earlier, last = blocks_of(model)

    def run(x):
        for block in earlier:
            x = block(x, attn_mask=parts.text_of(model).attn_mask)
        return attend(last, x[:, :length], mask)

    return attention_map(model, images, tokens, run)
