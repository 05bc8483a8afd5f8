"""Honest explainers of the text tower."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


def _image(model, images):
    with torch.no_grad():
        return F.normalize(model.encode_image(images), dim=-1)


@TABLE.honest
def token_embedding_gradient_by_hook(model, images, tokens):
    kept = []

    def keep(module, inputs, output):
        output = output.detach().requires_grad_()
        kept.append(output)
        return output

    handle = parts.text_of(model).token_embedding.register_forward_hook(keep)
    score = (F.normalize(model.encode_text(tokens), dim=-1) * _image(model, images)).sum()
    handle.remove()
    (g,) = torch.autograd.grad(score, kept[0])
    return parts.token_result(images, (g * kept[0]).sum(-1).detach())


@TABLE.honest
def token_embedding_gradient_by_own_code(model, images, tokens):
    t = parts.text_of(model)
    e = t.token_embedding(tokens).detach().requires_grad_()
    x = e + t.positional_embedding
    x = t.transformer(x, attn_mask=t.attn_mask)
    score = (parts.readout_text(model, x, tokens) * _image(model, images)).sum(-1)
    score.sum().backward()
    return parts.token_result(images, e.grad.norm(dim=-1))


@TABLE.honest
def text_attention_by_own_code(model, images, tokens):
    """GAME over the text blocks, with the causal mask."""
    t = parts.text_of(model)
    x, maps = parts.embed_text(model, tokens), []
    for block in t.transformer.resblocks:
        q, k, v = parts.qkv(block, block.ln_1(x))
        maps.append(parts.attention(q, k, t.attn_mask))
        x = parts.after_attention(block, x, parts.merge(maps[-1] @ v))
    score = (parts.readout_text(model, x, tokens) * _image(model, images)).sum()
    rolled = torch.eye(x.shape[1]).expand(len(x), -1, -1)
    for a, g in zip(maps, torch.autograd.grad(score, maps), strict=True):
        rolled = rolled + (a * g).relu().mean(1).detach() @ rolled
    return parts.token_result(images, rolled[torch.arange(len(x)), tokens.argmax(-1)])


@TABLE.honest
def token_occlusion(model, images, tokens):
    image = _image(model, images)
    with torch.no_grad():
        full = (model.encode_text(tokens, normalize=True) * image).sum(-1)
        drops = torch.zeros(tokens.shape)
        for i in range(1, int(tokens.argmax(-1).max())):
            other = tokens.clone()
            other[:, i] = 5
            drops[:, i] = full - (model.encode_text(other, normalize=True) * image).sum(-1)
    return parts.token_result(images, drops)


@TABLE.honest
def maps_of_both_towers(model, images, tokens):
    pixels = images.clone().requires_grad_()
    kept = []
    handle = parts.text_of(model).token_embedding.register_forward_hook(
        lambda m, i, o: kept.append(o)
    )
    score = parts.cosine(model, pixels, tokens).sum()
    handle.remove()
    g, e = torch.autograd.grad(score, (pixels, kept[0]))
    return parts.both(parts.pooled_grid(model, g.abs().sum(1)), (e * kept[0]).sum(-1).detach())


@TABLE.honest
def integrated_gradients_of_token_embeddings(model, images, tokens):
    t = parts.text_of(model)
    image = _image(model, images)
    end = t.token_embedding(tokens).detach()
    total = torch.zeros_like(end)
    for alpha in (torch.arange(8) + 0.5) / 8:
        e = (alpha * end).requires_grad_()
        x = t.transformer(e + t.positional_embedding, attn_mask=t.attn_mask)
        score = (parts.readout_text(model, x, tokens) * image).sum()
        total += torch.autograd.grad(score, e)[0]
    return parts.token_result(images, (total * end).sum(-1))


@TABLE.honest
def raw_text_attention(model, images, tokens):
    t = parts.text_of(model)
    with torch.no_grad():
        x = parts.embed_text(model, tokens)
        for block in t.transformer.resblocks[:-1]:
            x = block(x, attn_mask=t.attn_mask)
        y = t.transformer.resblocks[-1].ln_1(x)
        _, a = t.transformer.resblocks[-1].attn(y, y, y, attn_mask=t.attn_mask)
    return parts.token_result(images, a[torch.arange(len(a)), tokens.argmax(-1)])
