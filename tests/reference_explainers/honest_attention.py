"""Honest explainers that read attention, or compute blocks by their own code as the model does."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


@TABLE.honest
def raw_attention_of_the_last_block(model, images, tokens):
    with torch.no_grad():
        x = parts.before(model, images, len(model.visual.transformer.resblocks) - 1)
        block = model.visual.transformer.resblocks[-1]
        y = block.ln_1(x)
        _, weights = block.attn(y, y, y, need_weights=True)
    return parts.grid(model, weights[:, 0, 1:])


@TABLE.honest
def gradient_times_attention_by_own_code(model, images, tokens):
    return parts.grad_times_attention(model, images, tokens)


@TABLE.honest
def attention_logit_gradient(model, images, tokens):
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    x = parts.before(model, images, len(blocks) - 1).detach()
    q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
    logits = (q @ k.mT / q.shape[-1] ** 0.5).detach().requires_grad_()
    y = parts.after_attention(blocks[-1], x, parts.merge(logits.softmax(-1) @ v))
    score = (parts.readout(model, y) * text).sum()
    score.backward()
    return parts.grid(model, logits.grad[:, :, 0, 1:].sum(1))


@TABLE.honest
def rollout_with_returned_weights(model, images, tokens):
    """Pre-hooks ask every attention for its weights, hooks keep them."""
    kept, handles = [], []

    def ask(module, args, kwargs):
        return args, {**kwargs, "need_weights": True, "average_attn_weights": False}

    for block in model.visual.transformer.resblocks:
        handles.append(block.attn.register_forward_pre_hook(ask, with_kwargs=True))
        handles.append(block.attn.register_forward_hook(lambda m, i, o: kept.append(o[1])))
    with torch.no_grad():
        model.encode_image(images)
    for handle in handles:
        handle.remove()
    rolled = torch.eye(kept[0].shape[-1]).expand(len(images), -1, -1)
    for a in kept:
        rolled = ((a.mean(1) + torch.eye(a.shape[-1])) / 2) @ rolled
    return parts.grid(model, rolled[:, 0, 1:])


@TABLE.honest
def rollout_in_sequence_first_layout(model, images, tokens):
    """All blocks by own code, tokens first, heads merged into the batch, as old CLIP code does."""
    with torch.no_grad():
        x = parts.embed(model, images).permute(1, 0, 2)
        length, n, width = x.shape
        rolled = torch.eye(length).repeat(n, 1, 1)
        for block in model.visual.transformer.resblocks:
            y = F.layer_norm(x, (width,), block.ln_1.weight, block.ln_1.bias, block.ln_1.eps)
            attn = block.attn
            h = attn.num_heads
            z = F.linear(y, attn.in_proj_weight, attn.in_proj_bias)
            q, k, v = (
                p.contiguous().view(length, n * h, width // h).transpose(0, 1)
                for p in z.chunk(3, -1)
            )
            a = F.softmax(torch.bmm(q * (width // h) ** -0.5, k.transpose(1, 2)), dim=-1)
            o = torch.bmm(a, v).transpose(0, 1).contiguous().view(length, n, width)
            x = x + block.ls_1(F.linear(o, attn.out_proj.weight, attn.out_proj.bias))
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
            rolled = (a.view(n, h, length, length).mean(1) + torch.eye(length)).bmm(rolled)
    return parts.grid(model, rolled[:, 0, 1:])


@TABLE.honest
def generic_attention_attribution(model, images, tokens):
    """GAME over all image blocks."""
    text = parts.text_unit(model, tokens)
    x, maps = parts.embed(model, images), []
    for block in model.visual.transformer.resblocks:
        q, k, v = parts.qkv(block, block.ln_1(x))
        maps.append(parts.attention(q, k))
        x = parts.after_attention(block, x, parts.merge(maps[-1] @ v))
    score = (parts.readout(model, x) * text).sum()
    rolled = torch.eye(x.shape[1]).expand(len(x), -1, -1)
    for a, g in zip(maps, torch.autograd.grad(score, maps), strict=True):
        rolled = rolled + (a * g).relu().mean(1).detach() @ rolled
    return parts.grid(model, rolled[:, 0, 1:])


@TABLE.honest
def attention_cat(model, images, tokens):
    """AttCAT: gradient times input of every block, weighted by mean attention."""
    text = parts.text_unit(model, tokens)
    x, inputs, maps = parts.embed(model, images), [], []
    for block in model.visual.transformer.resblocks:
        inputs.append(x)
        y = block.ln_1(x)
        out, weights = block.attn(y, y, y, need_weights=True)
        maps.append(weights.detach())
        x = x + block.ls_1(out)
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
    score = (parts.readout(model, x) * text).sum()
    gradients = torch.autograd.grad(score, inputs)
    total = sum(
        (g * h).sum(-1) * a.mean(1) for g, h, a in zip(gradients, inputs, maps, strict=True)
    )
    return parts.grid(model, total[:, 1:].detach())


@TABLE.honest
def gradient_with_frozen_attention(model, images, tokens):
    """LibraGrad style: forward as the model, backward through the values only."""
    text = parts.text_unit(model, tokens)
    leaf = parts.embed(model, images).detach().requires_grad_()
    x = leaf
    for block in model.visual.transformer.resblocks:
        q, k, v = parts.qkv(block, block.ln_1(x))
        x = parts.after_attention(block, x, parts.merge(parts.attention(q, k).detach() @ v))
    score = (parts.readout(model, x) * text).sum(-1)
    (g,) = torch.autograd.grad(score.sum(), leaf)
    return parts.grid(model, (g * leaf)[:, 1:].sum(-1).detach())


@TABLE.honest
def fused_attention_by_own_code(model, images, tokens):
    """Gradient by the values through the fused kernel."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
    v.requires_grad_()
    o = F.scaled_dot_product_attention(q, k, v)
    y = parts.after_attention(blocks[-1], x, parts.merge(o))
    (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), v)
    return parts.grid(model, (g * v)[:, :, 1:].sum((1, 3)).relu().detach())


@TABLE.honest
def class_query_only(model, images, tokens):
    """Only the class token's row of the last block is computed."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
        a = torch.einsum("bhqe,bhke->bhqk", q[:, :, :1] * q.shape[-1] ** -0.5, k).softmax(-1)
    a.requires_grad_()
    y = parts.after_attention(blocks[-1], x[:, :1], parts.merge(a @ v))
    (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), a)
    return parts.grid(model, (g * a)[:, :, 0, 1:].sum(1).detach())


@TABLE.honest
def attention_of_each_head(model, images, tokens):
    """A loop over heads in own code."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    block, attn = blocks[-1], blocks[-1].attn
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        y = block.ln_1(x)
    width, size = attn.embed_dim, attn.embed_dim // attn.num_heads
    leaves, outputs = [], []
    for h in range(attn.num_heads):
        q, k, v = (
            y @ attn.in_proj_weight[part + h * size : part + (h + 1) * size].T
            + attn.in_proj_bias[part + h * size : part + (h + 1) * size]
            for part in (0, width, 2 * width)
        )
        a = (q @ k.mT / size**0.5).softmax(-1).detach().requires_grad_()
        leaves.append(a)
        outputs.append(a @ v)
    z = parts.after_attention(block, x, torch.cat(outputs, -1))
    gradients = torch.autograd.grad((parts.readout(model, z) * text).sum(), leaves)
    total = sum((g * a)[:, 0, 1:] for g, a in zip(gradients, leaves, strict=True))
    return parts.grid(model, total.detach())


@TABLE.honest
def patch_text_cosine(model, images, tokens):
    """Reads the model's own patch tokens; explains no score."""
    with torch.no_grad():
        x = parts.before(model, images, len(model.visual.transformer.resblocks))
        patches = F.normalize(model.visual.ln_post(x[:, 1:]) @ model.visual.proj, dim=-1)
        return parts.grid(model, (patches @ parts.text_unit(model, tokens)[:, :, None])[..., 0])


@TABLE.honest
def norm_of_last_tokens(model, images, tokens):
    kept = []
    handle = model.visual.transformer.register_forward_hook(lambda m, i, o: kept.append(o))
    with torch.no_grad():
        model.encode_image(images)
    handle.remove()
    return parts.grid(model, kept[0][:, 1:].norm(dim=-1))


@TABLE.honest
def attention_suppression(model, images, tokens):
    """AtMan: the scores of one key after another are weakened in every block."""
    text = parts.text_unit(model, tokens)

    def score(key):
        x = parts.embed(model, images)
        for block in model.visual.transformer.resblocks:
            q, k, v = parts.qkv(block, block.ln_1(x))
            logits = q @ k.mT / q.shape[-1] ** 0.5
            if key:
                factor = torch.ones(logits.shape[-1])
                factor[key] = 0.1
                logits = (logits - logits.min(-1, keepdim=True).values) * factor
            x = parts.after_attention(block, x, parts.merge(logits.softmax(-1) @ v))
        return (parts.readout(model, x) * text).sum(-1)

    with torch.no_grad():
        full = score(0)
        drops = [full - score(i) for i in range(1, model.visual.positional_embedding.shape[0])]
    return parts.grid(model, torch.stack(drops, 1))


@TABLE.honest
def gradient_with_detached_deviation(model, images, tokens):
    """LibraGrad style: every norm written out, its deviation without a gradient."""
    text = parts.text_unit(model, tokens)
    leaf = parts.embed(model, images).detach().requires_grad_()

    def norm(layer, x):
        deviation = (x.var(-1, unbiased=False, keepdim=True) + layer.eps).sqrt().detach()
        return (x - x.mean(-1, keepdim=True)) / deviation * layer.weight + layer.bias

    x = leaf
    for block in model.visual.transformer.resblocks:
        q, k, v = parts.qkv(block, norm(block.ln_1, x))
        x = x + block.ls_1(block.attn.out_proj(parts.merge(parts.attention(q, k).detach() @ v)))
        x = x + block.ls_2(block.mlp(norm(block.ln_2, x)))
    feature = F.normalize(norm(model.visual.ln_post, x[:, 0]) @ model.visual.proj, dim=-1)
    (g,) = torch.autograd.grad((feature * text).sum(), leaf)
    return parts.grid(model, (g * leaf)[:, 1:].sum(-1).detach())
