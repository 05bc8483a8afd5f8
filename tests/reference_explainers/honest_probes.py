"""Honest explainers that alter pictures, tokens or attention on purpose, many times."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


def _path_gradient(model, images, tokens, baseline, alphas):
    text = parts.text_unit(model, tokens)
    total = torch.zeros_like(images)
    for alpha in alphas:
        x = (baseline + alpha * (images - baseline)).detach().requires_grad_()
        score = (F.normalize(model.encode_image(x), dim=-1) * text).sum(-1)
        (g,) = torch.autograd.grad(score.sum(), x)
        total += g
    return parts.pooled_grid(model, (total * (images - baseline)).sum(1) / len(alphas))


@TABLE.honest
def integrated_gradients_with_the_end(model, images, tokens):
    return _path_gradient(model, images, tokens, torch.zeros_like(images), torch.linspace(0, 1, 12))


@TABLE.honest
def integrated_gradients_by_midpoints(model, images, tokens):
    return _path_gradient(
        model, images, tokens, torch.zeros_like(images), (torch.arange(10) + 0.5) / 10
    )


@TABLE.honest
def integrated_gradients_from_a_blurred_picture(model, images, tokens):
    blurred = F.avg_pool2d(images, 5, 1, 2)
    return _path_gradient(model, images, tokens, blurred, (torch.arange(10) + 0.5) / 10)


@TABLE.honest
def integrated_gradients_in_one_batch(model, images, tokens):
    """All steps of a picture in one batch, as attribution libraries do."""
    steps = torch.tensor(np.polynomial.legendre.leggauss(20)[0] / 2 + 0.5, dtype=images.dtype)
    maps = []
    for image, token in zip(images, tokens, strict=True):
        path = (steps[:, None, None, None] * image).requires_grad_()
        score = parts.cosine(model, path, token.expand(len(path), -1))
        (g,) = torch.autograd.grad(torch.unbind(score), path)
        maps.append((g.mean(0) * image).sum(0))
    return parts.pooled_grid(model, torch.stack(maps))


@TABLE.honest
def integrated_gradients_of_patch_embeddings(model, images, tokens):
    """The path runs over the tokens that enter the first block; no step is the picture's."""
    text = parts.text_unit(model, tokens)
    with torch.no_grad():
        end = parts.embed(model, images)
    total = torch.zeros_like(end)
    for alpha in (torch.arange(8) + 0.5) / 8:
        x = (alpha * end).requires_grad_()
        y = model.visual.transformer(x)
        (g,) = torch.autograd.grad((parts.readout(model, y) * text).sum(), x)
        total += g
    return parts.grid(model, (total * end)[:, 1:].sum(-1))


@TABLE.honest
def smooth_grad(model, images, tokens):
    generator = torch.Generator().manual_seed(0)
    spread = 0.15 * (images.amax((1, 2, 3)) - images.amin((1, 2, 3)))[:, None, None, None]
    total = 0
    for _ in range(10):
        x = images + spread * torch.randn(images.shape[1:], generator=generator)
        total = total + parts.gradient_map(model, x, lambda z: parts.cosine(model, z, tokens))
    return total / 10


@TABLE.honest
def smooth_grad_of_clipped_pictures(model, images, tokens):
    generator = torch.Generator().manual_seed(0)
    low, high = (f((1, 2, 3), keepdim=True) for f in (images.amin, images.amax))
    noise = 0.3 * torch.randn(8, *images.shape[1:], generator=generator)
    total = 0
    for n in noise:
        x = (images + n).clamp(low, high)
        total = total + parts.gradient_map(model, x, lambda z: parts.cosine(model, z, tokens))
    return total


@TABLE.honest
def noisy_integrated_gradients(model, images, tokens):
    """GradientSHAP: random points between random baselines and the picture."""
    generator = torch.Generator().manual_seed(0)
    total = 0
    for _ in range(12):
        baseline = 0.1 * torch.randn(images.shape[1:], generator=generator)
        alpha = torch.rand((), generator=generator)
        x = baseline + alpha * (images - baseline)
        total = total + parts.gradient_map(model, x, lambda z: parts.cosine(model, z, tokens))
    return total


def _masks(model, count, keep, seed=0, *, smooth=True):
    generator = torch.Generator().manual_seed(seed)
    cells = (torch.rand(count, 1, 4, 4, generator=generator) < keep).float()
    size = model.visual.image_size
    mode = {"mode": "bilinear", "align_corners": False} if smooth else {"mode": "nearest"}
    return F.interpolate(cells, size=size, **mode)


@TABLE.honest
def rise(model, images, tokens):
    masks = _masks(model, 200, 0.5)
    text = parts.text_unit(model, tokens)
    maps = []
    with torch.no_grad():
        for image, t in zip(images, text, strict=True):
            features = F.normalize(model.encode_image(image * masks), dim=-1)
            maps.append(((features @ t)[:, None, None] * masks[:, 0]).mean(0) / 0.5)
    return parts.pooled_grid(model, torch.stack(maps))


@TABLE.honest
def rise_with_few_open_cells_in_numpy(model, images, tokens):
    masks = _masks(model, 40, 0.2).numpy()
    text = parts.text_unit(model, tokens).numpy()
    maps = []
    for image, t in zip(images.numpy(), text, strict=True):
        total = np.zeros(image.shape[1:], dtype=np.float32)
        for chunk in np.array_split(masks, 5):
            with torch.no_grad():
                x = torch.from_numpy((image * chunk + 0.3 * (1 - chunk)).astype(np.float32))
                features = model.encode_image(x).numpy()
            features /= np.linalg.norm(features, axis=1, keepdims=True)
            total += ((features @ t)[:, None, None] * chunk[:, 0]).sum(0)
        maps.append(total)
    return parts.pooled_grid(model, torch.from_numpy(np.stack(maps)))


@TABLE.honest
def occlusion_loop(model, images, tokens):
    text = parts.text_unit(model, tokens)
    p = model.visual.conv1.kernel_size[0]
    rows, columns = model.visual.grid_size
    with torch.no_grad():
        full = (F.normalize(model.encode_image(images), dim=-1) * text).sum(-1)
        out = torch.zeros(len(images), rows, columns)
        for i in range(rows):
            for j in range(columns):
                x = images.clone()
                x[:, :, i * p : (i + 1) * p, j * p : (j + 1) * p] = 0
                out[:, i, j] = full - (F.normalize(model.encode_image(x), dim=-1) * text).sum(-1)
    return out


@TABLE.honest
def occlusion_beside_the_picture(model, images, tokens):
    """The picture, an empty one and the occluded ones in one batch."""
    patches = model.visual.grid_size[0] * model.visual.grid_size[1]
    masks = F.interpolate(
        (1 - torch.eye(patches)).view(patches, 1, *model.visual.grid_size),
        size=model.visual.image_size,
    )
    maps = []
    with torch.no_grad():
        for image, token in zip(images.split(1), tokens.split(1), strict=True):
            batch = torch.cat([image, torch.zeros_like(image), image * masks])
            score = parts.cosine(model, batch, token.expand(len(batch), -1))
            maps.append((score[0] - score[2:]) / (score[0] - score[1]).abs())
    return parts.grid(model, torch.stack(maps))


@TABLE.honest
def occlusion_without_the_picture(model, images, tokens):
    """Relevance is minus the score of the occluded picture; the picture itself is never run."""
    text = parts.text_unit(model, tokens)
    p = model.visual.conv1.kernel_size[0]
    rows, columns = model.visual.grid_size
    out = torch.zeros(len(images), rows, columns)
    blurred = F.avg_pool2d(images, 7, 1, 3)
    with torch.no_grad():
        for i in range(rows):
            for j in range(columns):
                m = torch.zeros(images.shape[-2:])
                m[i * p : (i + 1) * p, j * p : (j + 1) * p] = 1
                x = torch.where(m.bool(), blurred, images)
                out[:, i, j] = -(model.encode_image(x, normalize=True) * text).sum(-1)
    return out


@TABLE.honest
def mask_optimization(model, images, tokens):
    """Extremal perturbation: a mask by gradient descent."""
    text = parts.text_unit(model, tokens)
    blurred = F.avg_pool2d(images, 7, 1, 3)
    mask = torch.full((len(images), 1, 4, 4), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([mask], lr=0.1)
    for _ in range(6):
        m = F.interpolate(mask.sigmoid(), size=images.shape[-2:], mode="bilinear")
        features = model.encode_image(m * images + (1 - m) * blurred)
        score = (F.normalize(features, dim=-1) * text).sum(-1)
        loss = (0.1 * m.mean((1, 2, 3)) - score).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return mask.detach()[:, 0]


@TABLE.honest
def attention_knock_out_by_own_code(model, images, tokens):
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))

        def score(closed):
            mask = torch.zeros(x.shape[1])
            mask[closed] = -torch.inf
            o = parts.merge(parts.attention(q, k, mask) @ v)
            return (parts.readout(model, parts.after_attention(blocks[-1], x, o)) * text).sum(-1)

        full = score([])
        drops = [full - score([i]) for i in range(1, x.shape[1])]
    return parts.grid(model, torch.stack(drops, 1))


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
    """CAAP: each patch's tokens of the picture are put into the run of an empty picture."""
    text = parts.text_unit(model, tokens)
    blocks = model.visual.transformer.resblocks
    kept, state = {}, {"patch": None}

    def make(index):
        def hook(module, args):
            if state["patch"] is None:
                kept[index] = args[0]
                return None
            x = args[0].clone()
            x[:, state["patch"]] = kept[index][:, state["patch"]]
            return (x, *args[1:])

        return hook

    handles = [blocks[i].register_forward_pre_hook(make(i)) for i in range(1, len(blocks))]
    empty = torch.zeros_like(images)
    out = []
    with torch.no_grad():
        model.encode_image(images)
        for patch in range(1, model.visual.positional_embedding.shape[0]):
            state["patch"] = patch
            out.append((F.normalize(model.encode_image(empty), dim=-1) * text).sum(-1))
    for handle in handles:
        handle.remove()
    return parts.grid(model, torch.stack(out, 1))


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
