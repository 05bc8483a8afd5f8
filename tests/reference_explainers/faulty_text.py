"""Explainers that compute another text tower than the model's."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()
BOTH = "P104 P105"


def _image(model, images):
    with torch.no_grad():
        return F.normalize(model.encode_image(images), dim=-1)


def _token_map(model, images, tokens, block_by_block, read=None):
    """Gradient times embedding, with the text tower run by the given function."""
    e = parts.embed_text(model, tokens).detach().requires_grad_()
    x = e
    for block in parts.text_of(model).transformer.resblocks:
        x = block_by_block(block, x)
    feature = (read or parts.readout_text)(model, x, tokens)
    (g,) = torch.autograd.grad((feature * _image(model, images)).sum(), e)
    return parts.token_result(images, (g * e).sum(-1).detach())


def _own(model, heads=None, mask=True):
    def run(block, x):
        q, k, v = parts.qkv(block, block.ln_1(x), heads)
        a = parts.attention(q, k, parts.text_of(model).attn_mask if mask else None)
        return parts.after_attention(block, x, parts.merge(a @ v))

    return run


@TABLE.faulty(BOTH)
def one_head_in_the_text_tower(model, images, tokens):
    return _token_map(model, images, tokens, _own(model, heads=1))


@TABLE.faulty(BOTH)
def causal_mask_dropped_by_own_code(model, images, tokens):
    return _token_map(model, images, tokens, _own(model, mask=False))


@TABLE.faulty(BOTH)
def causal_mask_dropped_in_module_calls(model, images, tokens):
    return _token_map(model, images, tokens, lambda block, x: block(x))


@TABLE.faulty("P104")
def projected_twice(model, images, tokens):
    t = parts.text_of(model)

    def read(model, x, tokens):
        x = t.ln_final(x)[torch.arange(len(x)), tokens.argmax(-1)]
        w = t.text_projection
        w = w.weight.T if isinstance(w, torch.nn.Linear) else w
        x = x @ w
        return F.normalize(F.pad(x, (0, w.shape[0] - w.shape[1])) @ w, dim=-1)

    def run(block, x):
        return block(x, attn_mask=t.attn_mask)

    return _token_map(model, images, tokens, run, read)


@TABLE.faulty("P104")
def pooled_at_the_last_position(model, images, tokens):
    t = parts.text_of(model)

    def read(model, x, tokens):
        x = t.ln_final(x)[:, -1]
        w = t.text_projection
        return F.normalize(w(x) if isinstance(w, torch.nn.Linear) else x @ w, dim=-1)

    return _token_map(model, images, tokens, lambda block, x: block(x, attn_mask=t.attn_mask), read)


@TABLE.faulty(BOTH)
def missing_text_positions(model, images, tokens):
    t = parts.text_of(model)
    e = t.token_embedding(tokens).detach().requires_grad_()
    x = t.transformer(e, attn_mask=t.attn_mask)
    score = (parts.readout_text(model, x, tokens) * _image(model, images)).sum()
    (g,) = torch.autograd.grad(score, e)
    return parts.token_result(images, (g * e).sum(-1).detach())


@TABLE.faulty("P105")
def text_attention_without_mask(model, images, tokens):
    """A map of raw attention: no score."""
    t = parts.text_of(model)
    with torch.no_grad():
        x = parts.embed_text(model, tokens)
        for block in t.transformer.resblocks[:-1]:
            x = block(x, attn_mask=t.attn_mask)
        block = t.transformer.resblocks[-1]
        q, k, _ = parts.qkv(block, block.ln_1(x))
        a = parts.attention(q, k).mean(1)
    return parts.token_result(images, a[torch.arange(len(a)), tokens.argmax(-1)])


@TABLE.faulty("P103 P104")
def token_gradient_of_another_text(model, images, tokens):
    t = parts.text_of(model)
    other = parts.class_prompts(tokens)[:1].expand(len(tokens), -1)
    e = t.token_embedding(other).detach().requires_grad_()
    x = t.transformer(e + t.positional_embedding, attn_mask=t.attn_mask)
    score = (parts.readout_text(model, x, other) * _image(model, images)).sum()
    (g,) = torch.autograd.grad(score, e)
    return parts.token_result(images, (g * e).sum(-1).detach())
