"""Honest explainers that alter pictures, or paths of them, on purpose, many times."""

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
