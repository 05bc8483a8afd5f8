"""The text tower written out with plain torch, for honest and faulty explainers of token maps."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts


def image_unit(model, images):
    with torch.no_grad():
        return F.normalize(model.encode_image(images), dim=-1)


def blocks_of(model):
    return parts.text_of(model).transformer.resblocks


def ends(tokens):
    return torch.arange(len(tokens), device=tokens.device), tokens.argmax(-1)


def project(model, x):
    """Unit features of pooled tokens that have passed the final norm."""
    projection = parts.text_of(model).text_projection
    feature = projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
    return F.normalize(feature, dim=-1)


def attend(block, x, mask, heads=None, *, temperature=1.0):
    """A block's output and its attention, (b, h, t, t)."""
    q, k, v = parts.qkv(block, block.ln_1(x), heads)
    a = parts.attention(q / temperature, k, mask)
    return parts.after_attention(block, x, parts.merge(a @ v)), a


def every_block(model, mask):
    """Run all blocks by own code: what leaves the last one, and its attention."""

    def run(e):
        x = e
        for block in blocks_of(model):
            x, a = attend(block, x, mask)
        return x, a

    return run


def gradient_map(model, images, tokens, run, read=parts.readout_text):
    """Gradient times embedding, (b, context); ``run`` gives what leaves the last block."""
    e = parts.embed_text(model, tokens).detach().requires_grad_()
    score = (read(model, run(e), tokens) * image_unit(model, images)).sum()
    (g,) = torch.autograd.grad(score, e)
    return parts.token_result(images, (g * e).sum(-1).detach())


def attention_map(model, images, tokens, run, read=parts.readout_text):
    """Gradient times attention of the last block at the end of the text.

    ``run`` gives what leaves the last block, and its attention.
    """
    x, a = run(parts.embed_text(model, tokens).detach().requires_grad_())
    score = (read(model, x, tokens) * image_unit(model, images)).sum()
    (g,) = torch.autograd.grad(score, a)
    rows, end = ends(tokens)
    found = (g * a)[rows, :, end].sum(1).relu().detach()
    return parts.token_result(images, F.pad(found, (0, tokens.shape[1] - found.shape[1])))


def removal_map(model, images, tokens, score):
    """Drop of a score when a token is taken out, without gradients."""
    with torch.no_grad():
        whole, drops = score(model, images, tokens), torch.zeros(tokens.shape)
        for i in range(1, int(tokens.argmax(-1).min())):
            fewer = torch.cat([tokens[:, :i], tokens[:, i + 1 :], tokens[:, -1:] * 0], 1)
            drops[:, i] = whole - score(model, images, fewer)
    return parts.token_result(images, drops)
