"""Honest explainers that alter tokens or attention inside the model on purpose, many times."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts, probing
from tests.reference_explainers.member import Table

TABLE = Table()


@TABLE.honest
def attention_knock_out_by_own_code(model, images, tokens):
    return probing.knock_out(model, images, tokens)


@TABLE.honest
def attention_knock_out_in_several_blocks(model, images, tokens):
    """The mask of the last two blocks closes one patch at a time, by pre-hooks."""
    text = parts.text_unit(model, tokens)
    length = model.visual.positional_embedding.shape[0]
    state = {"closed": None}

    def close(module, args, kwargs):
        if state["closed"] is None:
            return args, kwargs
        mask = torch.zeros(length, length)
        mask[:, state["closed"]] = -torch.inf
        return args, {**kwargs, "attn_mask": mask}

    handles = [
        block.attn.register_forward_pre_hook(close, with_kwargs=True)
        for block in model.visual.transformer.resblocks[-2:]
    ]
    scores = []
    with torch.no_grad():
        for closed in (None, *range(1, length)):
            state["closed"] = closed
            scores.append((model.encode_image(images, normalize=True) * text).sum(-1))
    for handle in handles:
        handle.remove()
    return parts.grid(model, scores[0][:, None] - torch.stack(scores[1:], 1))


@TABLE.honest
def token_knock_out_by_pre_hooks(model, images, tokens):
    """Sets one patch token to zero at the entrance of the second block."""
    text = parts.text_unit(model, tokens)
    state = {"closed": None}

    def close(module, args):
        x = args[0].clone()
        if state["closed"] is not None:
            x[:, state["closed"]] = 0
        return (x, *args[1:])

    handle = model.visual.transformer.resblocks[1].register_forward_pre_hook(close)
    scores = []
    with torch.no_grad():
        for closed in (None, *range(1, model.visual.positional_embedding.shape[0])):
            state["closed"] = closed
            scores.append((model.encode_image(images, normalize=True) * text).sum(-1))
    handle.remove()
    return parts.grid(model, scores[0][:, None] - torch.stack(scores[1:], 1))


@TABLE.honest
def activation_patching_by_hooks(model, images, tokens):
    return probing.patching(model, images, tokens)


@TABLE.honest
def token_dropping(model, images, tokens):
    """TIS: random subsets of the tokens, after the position embeddings."""
    text = parts.text_unit(model, tokens)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        x = parts.embed(model, images)
        patches = x.shape[1] - 1
        total, count = torch.zeros(len(x), patches), torch.zeros(patches)
        parts.cosine(model, images, tokens)
        for _ in range(30):
            kept = torch.randperm(patches, generator=generator)[: patches // 2]
            y = torch.cat([x[:, :1], x[:, 1:][:, kept]], 1)
            for block in model.visual.transformer.resblocks:
                y = block(y)
            total[:, kept] += (parts.readout(model, y) * text).sum(-1, keepdim=True)
            count[kept] += 1
    return parts.grid(model, total / count.clamp(min=1))


@TABLE.honest
def information_bottleneck(model, images, tokens):
    """M2IB: noise is mixed into the tokens of one block, by gradient descent on its strength."""
    text = parts.text_unit(model, tokens)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        parts.cosine(model, images, tokens)
    z = parts.before(model, images, 1).detach()
    alpha = torch.full(z.shape, 5.0, requires_grad=True)
    optimizer = torch.optim.Adam([alpha], lr=1.0)
    for _ in range(5):
        share = alpha.sigmoid()
        y = share * z + (1 - share) * torch.randn(z.shape[1:], generator=generator)
        for block in model.visual.transformer.resblocks[1:]:
            y = block(y)
        kept = -0.5 * (1 + 2 * torch.log(1 - share + 1e-6) - (share * z) ** 2)
        loss = 0.1 * kept.mean((1, 2)).sum() - (parts.readout(model, y) * text).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return parts.grid(model, alpha.detach()[:, 1:].mean(-1))


def _attention_path(model, images, tokens, start):
    """Integrated gradients along a straight path of the last attention."""
    text = parts.text_unit(model, tokens)
    block = model.visual.transformer.resblocks[-1]
    with torch.no_grad():
        x = parts.before(model, images, len(model.visual.transformer.resblocks) - 1)
        q, k, v = parts.qkv(block, block.ln_1(x))
        end = parts.attention(q, k)
    total = 0
    for alpha in (torch.arange(10) + 0.5) / 10:
        a = (alpha * end + (1 - alpha) * start).requires_grad_()
        y = parts.after_attention(block, x, parts.merge(a @ v))
        (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), a)
        total = total + g
    return parts.grid(model, (total * (end - start))[:, :, 0, 1:].sum(1))


@TABLE.honest
def integrated_gradients_of_attention(model, images, tokens):
    """Self-attention attribution (Hao et al. 2021)."""
    return _attention_path(model, images, tokens, 0)


@TABLE.honest
def integrated_gradients_from_uniform_attention(model, images, tokens):
    return _attention_path(model, images, tokens, 1 / model.visual.positional_embedding.shape[0])


@TABLE.honest
def suppressed_tokens_with_their_like(model, images, tokens):
    """AtMan: the logits of a patch's key, and of keys like it, are weakened in every block."""
    text = parts.text_unit(model, tokens)
    with torch.no_grad():
        x = parts.embed(model, images)
        unit = F.normalize(x, dim=-1)
        like = unit @ unit.mT

        def score(weights):
            y = x
            for block in model.visual.transformer.resblocks:
                q, k, v = parts.qkv(block, block.ln_1(y))
                logits = q @ k.mT / q.shape[-1] ** 0.5 * weights[:, None, None]
                y = parts.after_attention(block, y, parts.merge(logits.softmax(-1) @ v))
            return (parts.readout(model, y) * text).sum(-1)

        weights = 1 - 0.9 * torch.where(like > 0.6, like, 0)
        full = score(torch.ones_like(weights[:, 0]))
        drops = [full - score(weights[:, i]) for i in range(1, x.shape[1])]
    return parts.grid(model, torch.stack(drops, 1))


@TABLE.honest
def weighted_attention_by_ablated_heads(model, images, tokens):
    """The last attention of each head, times the drop of the score without the head."""
    text = parts.text_unit(model, tokens)
    block = model.visual.transformer.resblocks[-1]
    with torch.no_grad():
        x = parts.before(model, images, len(model.visual.transformer.resblocks) - 1)
        q, k, v = parts.qkv(block, block.ln_1(x))
        a = parts.attention(q, k)

        def score(kept):
            y = parts.after_attention(block, x, parts.merge(a @ v * kept[:, None, None]))
            return (parts.readout(model, y) * text).sum(-1)

        heads = torch.eye(a.shape[1])
        full = score(torch.ones(a.shape[1]))
        drops = torch.stack([full - score(1 - h) for h in heads], 1)
    return parts.grid(model, (drops[:, :, None] * a[:, :, 0, 1:]).sum(1))


@TABLE.honest
def attention_outputs_set_to_zero(model, images, tokens):
    """One token's attention output is zeroed in the first two blocks, by hooks."""
    text = parts.text_unit(model, tokens)
    state = {"token": None}

    def zero(module, args, out):
        if state["token"] is None:
            return None
        y = out[0].clone()
        y[:, state["token"]] = 0
        return (y, *out[1:])

    blocks = model.visual.transformer.resblocks[:2]
    handles = [block.attn.register_forward_hook(zero) for block in blocks]
    scores = []
    with torch.no_grad():
        for token in (None, *range(1, model.visual.positional_embedding.shape[0])):
            state["token"] = token
            scores.append((model.encode_image(images, normalize=True) * text).sum(-1))
    for handle in handles:
        handle.remove()
    return parts.grid(model, scores[0][:, None] - torch.stack(scores[1:], 1))
