"""What explainers of the panel share: CLIP written out with plain torch, no anatomy."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch.nn import functional as F


def text_of(model):
    return getattr(model, "text", model)


def grid(model, relevance):
    rows, columns = model.visual.grid_size
    return relevance.reshape(len(relevance), rows, columns)


def pooled_grid(model, pixels):
    """Mean over the pixels of each patch, (b, H, W) to (b, rows, columns)."""
    return F.avg_pool2d(pixels.unsqueeze(1), model.visual.conv1.kernel_size)[:, 0]


def text_unit(model, tokens):
    with torch.no_grad():
        return F.normalize(model.encode_text(tokens), dim=-1)


def cosine(model, images, tokens):
    image = model.encode_image(images)
    text = model.encode_text(tokens)
    return F.cosine_similarity(image, text, dim=-1)


def embed(model, images):
    """Tokens that enter the first image block, (b, t, d)."""
    v = model.visual
    x = v.conv1(images).flatten(2).transpose(1, 2)
    cls = v.class_embedding.to(x.dtype).expand(len(x), 1, -1)
    return v.ln_pre(torch.cat([cls, x], 1) + v.positional_embedding.to(x.dtype))


def before(model, images, count):
    """Tokens after the first ``count`` image blocks."""
    x = embed(model, images)
    for block in model.visual.transformer.resblocks[:count]:
        x = block(x)
    return x


def qkv(block, y, heads=None):
    """Queries, keys and values split into heads, (b, h, t, e)."""
    attn = block.attn
    z = F.linear(y, attn.in_proj_weight, attn.in_proj_bias)
    return [
        part.unflatten(-1, (heads or attn.num_heads, -1)).transpose(1, 2) for part in z.chunk(3, -1)
    ]


def attention(q, k, mask=None):
    logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    return (logits if mask is None else logits + mask).softmax(-1)


def merge(o):
    return o.transpose(1, 2).flatten(2)


def after_attention(block, x, o):
    """From block input and concatenated heads to the block's output."""
    x = x + block.ls_1(block.attn.out_proj(o))
    return x + block.ls_2(block.mlp(block.ln_2(x)))


def readout(model, x):
    """Unit feature of the class token."""
    return F.normalize(model.visual.ln_post(x[:, 0]) @ model.visual.proj, dim=-1)


def embed_text(model, tokens):
    t = text_of(model)
    return t.token_embedding(tokens) + t.positional_embedding[: tokens.shape[1]]


def readout_text(model, x, tokens):
    t = text_of(model)
    x = t.ln_final(x)[torch.arange(len(x)), tokens.argmax(-1)]
    projection = t.text_projection
    feature = projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection
    return F.normalize(feature, dim=-1)


def class_prompts(tokens):
    """Texts of other classes: the pair's with other words, (4, context)."""
    others = []
    for shift in (7, 19, 31):
        words = (tokens[:1] > 0) & (tokens[:1] < tokens.max())
        others.append(torch.where(words, (tokens[:1] + shift) % 90 + 1, tokens[:1]))
    return torch.cat(others)


def gradient_map(model, images, score):
    """Pooled magnitude of the gradient of a score by the pixels."""
    x = images.clone().requires_grad_()
    (g,) = torch.autograd.grad(score(x).sum(), x)
    return pooled_grid(model, g.abs().sum(1))


def grad_times_attention(
    model, images, tokens, attend=attention, finish=after_attention, read=readout, heads=None
):
    """Gradient of the score by the last attention, times the attention, by own code."""
    text = text_unit(model, tokens)
    with torch.no_grad():
        x = before(model, images, len(model.visual.transformer.resblocks) - 1)
    block = model.visual.transformer.resblocks[-1]
    q, k, v = qkv(block, block.ln_1(x), heads)
    a = attend(q.detach(), k.detach()).detach().requires_grad_()
    y = finish(block, x, merge(a @ v.detach()))
    score = (read(model, y) * text).sum(-1)
    (g,) = torch.autograd.grad(score.sum(), a)
    return grid(model, (g * a)[:, :, 0, 1:].sum(1).relu().detach())


def both(maps, token_maps):
    return SimpleNamespace(maps=maps, token_maps=token_maps)


def token_result(images, token_maps):
    """An explanation of the text alone; the picture's map says nothing."""
    return both(torch.zeros(len(images), 4, 4), token_maps)
