"""Explainers that compute the attention of a block differently from the model."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()
BOTH = "P104 P105"


@TABLE.faulty(BOTH)
def one_head_in_the_last_block(model, images, tokens):
    return parts.grad_times_attention(model, images, tokens, heads=1)


@TABLE.faulty(BOTH)
def one_head_sequence_first(model, images, tokens):
    """Grad-ECLIP's released code, in its own layout."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    block, attn = blocks[-1], blocks[-1].attn
    x = parts.before(model, images, len(blocks) - 1).permute(1, 0, 2)
    length, n, width = x.shape
    z = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
    q, k, v = (
        p.contiguous().view(length, n * 1, width).transpose(0, 1) for p in z.chunk(3, dim=-1)
    )
    weights = F.softmax(torch.bmm(q / width**0.5, k.transpose(1, 2)), dim=-1)
    output = torch.bmm(weights, v).transpose(0, 1).reshape(length, n, width)
    y = x + attn.out_proj(output)
    y = y + block.mlp(block.ln_2(y))
    feature = F.normalize(model.visual.ln_post(y[0]) @ model.visual.proj, dim=-1)
    (g,) = torch.autograd.grad((feature * text).sum(), output)
    return parts.grid(model, (g[:1] * v.transpose(0, 1))[1:].sum(-1).T.relu().detach())


@TABLE.faulty(BOTH)
def one_head_in_all_blocks(model, images, tokens):
    text = parts.text_unit(model, tokens)
    leaf = parts.embed(model, images).detach().requires_grad_()
    x = leaf
    for block in model.visual.transformer.resblocks:
        q, k, v = parts.qkv(block, block.ln_1(x), 1)
        x = parts.after_attention(block, x, parts.merge(parts.attention(q, k) @ v))
    (g,) = torch.autograd.grad((parts.readout(model, x) * text).sum(), leaf)
    return parts.grid(model, (g * leaf)[:, 1:].sum(-1).detach())


@TABLE.faulty(BOTH)
def warm_softmax(model, images, tokens):
    return parts.grad_times_attention(
        model,
        images,
        tokens,
        lambda q, k: (q @ k.mT / q.shape[-1] ** 0.5 / 1.01).softmax(-1),
    )


@TABLE.faulty(BOTH)
def missing_scale(model, images, tokens):
    return parts.grad_times_attention(
        model, images, tokens, lambda q, k: torch.softmax(q @ k.mT, dim=-1)
    )


@TABLE.faulty(BOTH)
def no_softmax(model, images, tokens):
    def attend(q, k):
        a = (q @ k.mT / q.shape[-1] ** 0.5).relu()
        return a / (a.sum(-1, keepdim=True) + 1e-6)

    return parts.grad_times_attention(model, images, tokens, attend)


@TABLE.faulty(BOTH)
def identity_attention(model, images, tokens):
    def attend(q, k):
        return torch.eye(q.shape[-2]).expand(*q.shape[:2], -1, -1)

    return parts.grad_times_attention(model, images, tokens, attend, read=parts.readout)


@TABLE.faulty(BOTH)
def head_dropped(model, images, tokens):
    def attend(q, k):
        keep = torch.ones(q.shape[1], 1, 1)
        keep[0] = 0
        return parts.attention(q, k) * keep

    return parts.grad_times_attention(model, images, tokens, attend)


@TABLE.faulty(BOTH)
def heads_averaged(model, images, tokens):
    return parts.grad_times_attention(
        model,
        images,
        tokens,
        lambda q, k: parts.attention(q, k).mean(1, keepdim=True).expand(-1, q.shape[1], -1, -1),
    )


@TABLE.faulty(BOTH)
def attention_columns_rolled(model, images, tokens):
    return parts.grad_times_attention(
        model, images, tokens, lambda q, k: parts.attention(q, k).roll(1, -1)
    )


@TABLE.faulty(BOTH)
def values_rolled_against_attention(model, images, tokens):
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    x = parts.before(model, images, len(blocks) - 1).detach()
    q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
    a = parts.attention(q, k).detach().requires_grad_()
    rolled = torch.cat([v[:, :, :1], v[:, :, 1:].roll(1, 2)], 2)
    y = parts.after_attention(blocks[-1], x, parts.merge(a @ rolled))
    (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), a)
    return parts.grid(model, (g * a)[:, :, 0, 1:].sum(1).detach())


@TABLE.faulty(BOTH)
def class_token_not_attended(model, images, tokens):
    def attend(q, k):
        mask = torch.zeros(k.shape[-2])
        mask[0] = -1e4
        return parts.attention(q, k, mask)

    return parts.grad_times_attention(model, images, tokens, attend)


@TABLE.faulty(BOTH)
def causal_mask_in_the_image_tower(model, images, tokens):
    def attend(q, k):
        n = k.shape[-2]
        return parts.attention(q, k, torch.full((n, n), -torch.inf).triu(1))

    return parts.grad_times_attention(model, images, tokens, attend)


@TABLE.faulty(BOTH)
def value_value_attention(model, images, tokens):
    """As CLIP surgery has it, but for the class token's own feature."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    x = parts.before(model, images, len(blocks) - 1).detach()
    _, _, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
    a = parts.attention(v, v).detach().requires_grad_()
    y = parts.after_attention(blocks[-1], x, parts.merge(a @ v))
    (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), a)
    return parts.grid(model, (g * a)[:, :, 0, 1:].sum(1).detach())


@TABLE.faulty(BOTH)
def fused_kernel_with_another_scale(model, images, tokens):
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
    v.requires_grad_()
    o = F.scaled_dot_product_attention(q, k, v, scale=x.shape[-1] ** -0.5)
    y = parts.after_attention(blocks[-1], x, parts.merge(o))
    (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), v)
    return parts.grid(model, (g * v)[:, :, 1:].sum((1, 3)).detach())


@TABLE.faulty("P105")
def raw_attention_of_one_head(model, images, targets):
    """Explains no score."""
    with torch.no_grad():
        blocks = model.visual.transformer.resblocks
        x = parts.before(model, images, len(blocks) - 1)
        q, k, _ = parts.qkv(blocks[-1], blocks[-1].ln_1(x), 1)
        return parts.grid(model, parts.attention(q, k)[:, 0, 0, 1:])


@TABLE.faulty("P105")
def rollout_of_one_head(model, images, tokens):
    with torch.no_grad():
        x = parts.embed(model, images)
        rolled = torch.eye(x.shape[1]).expand(len(x), -1, -1)
        for block in model.visual.transformer.resblocks:
            q, k, v = parts.qkv(block, block.ln_1(x), 1)
            a = parts.attention(q, k)
            x = parts.after_attention(block, x, parts.merge(a @ v))
            rolled = (a[:, 0] + torch.eye(a.shape[-1])) @ rolled / 2
    return parts.grid(model, rolled[:, 0, 1:])


@TABLE.faulty("P104 P105")
def mask_clip(model, images, tokens):
    """Patch features of a last block whose attention is the identity."""
    with torch.no_grad():
        blocks = model.visual.transformer.resblocks
        x = parts.before(model, images, len(blocks) - 1)
        _, _, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
        y = parts.after_attention(blocks[-1], x, parts.merge(v))
        patches = F.normalize(model.visual.ln_post(y[:, 1:]) @ model.visual.proj, dim=-1)
        return parts.grid(model, (patches @ parts.text_unit(model, tokens)[:, :, None])[..., 0])


@TABLE.faulty("P104 P105")
def clip_surgery(model, images, tokens):
    """Value-value attention in a second path without MLP over the last two blocks."""
    with torch.no_grad():
        blocks = model.visual.transformer.resblocks
        x = parts.before(model, images, len(blocks) - 2)
        y = torch.zeros_like(x)
        for block in blocks[-2:]:
            _, _, v = parts.qkv(block, block.ln_1(x))
            y = y + block.attn.out_proj(parts.merge(parts.attention(v, v) @ v))
            x = block(x)
        patches = F.normalize(model.visual.ln_post(y[:, 1:]) @ model.visual.proj, dim=-1)
        return parts.grid(model, (patches @ parts.text_unit(model, tokens)[:, :, None])[..., 0])


@TABLE.faulty("P104 P105")
def key_key_attention_dense(model, images, tokens):
    """NACLIP style: attention output alone, no residual and no MLP."""
    with torch.no_grad():
        blocks = model.visual.transformer.resblocks
        x = parts.before(model, images, len(blocks) - 1)
        _, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
        y = blocks[-1].attn.out_proj(parts.merge(parts.attention(k, k) @ v))
        patches = F.normalize(model.visual.ln_post(y[:, 1:]) @ model.visual.proj, dim=-1)
        return parts.grid(model, (patches @ parts.text_unit(model, tokens)[:, :, None])[..., 0])


@TABLE.faulty(BOTH)
def smooth_grad_over_one_head(model, images, tokens):
    generator = torch.Generator().manual_seed(0)
    total = 0
    for _ in range(6):
        x = images + 0.3 * torch.randn(images.shape, generator=generator)
        total = total + parts.grad_times_attention(model, x, tokens, heads=1)
    return total


@TABLE.faulty(BOTH)
def noise_in_the_tokens_over_one_head(model, images, tokens):
    """Many passes beside a clean one, each with one head: no probe."""
    text = parts.text_unit(model, tokens)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        parts.cosine(model, images, tokens)
    end = parts.embed(model, images).detach()
    total = torch.zeros_like(end)
    for _ in range(5):
        leaf = (end + 0.1 * torch.randn(end.shape, generator=generator)).requires_grad_()
        x = leaf
        for block in model.visual.transformer.resblocks:
            q, k, v = parts.qkv(block, block.ln_1(x), 1)
            x = parts.after_attention(block, x, parts.merge(parts.attention(q, k) @ v))
        total += torch.autograd.grad((parts.readout(model, x) * text).sum(), leaf)[0]
    return parts.grid(model, (total * end)[:, 1:].sum(-1))


@TABLE.faulty(BOTH)
def occlusion_with_one_head(model, images, tokens):
    text = parts.text_unit(model, tokens)
    p = model.visual.conv1.kernel_size[0]
    rows, columns = model.visual.grid_size
    blocks = model.visual.transformer.resblocks

    def score(x):
        x = parts.before(model, x, len(blocks) - 1)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x), 1)
        y = parts.after_attention(blocks[-1], x, parts.merge(parts.attention(q, k) @ v))
        return (parts.readout(model, y) * text).sum(-1)

    with torch.no_grad():
        out = torch.zeros(len(images), rows, columns)
        for i in range(rows):
            for j in range(columns):
                x = images.clone()
                x[..., i * p : (i + 1) * p, j * p : (j + 1) * p] = 0
                out[:, i, j] = score(images) - score(x)
    return out


@TABLE.faulty(BOTH)
def one_head_via_numpy(model, images, tokens):
    """The last block's attention goes through numpy, so that its lineage is lost."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, v = (
            torch.from_numpy(p.numpy().copy()) for p in parts.qkv(blocks[-1], blocks[-1].ln_1(x), 1)
        )
        a = parts.attention(q, k)
    a.requires_grad_()
    y = parts.after_attention(blocks[-1], x, parts.merge(a @ v))
    (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), a)
    return parts.grid(model, torch.from_numpy((g * a)[:, 0, 0, 1:].detach().numpy().copy()))
