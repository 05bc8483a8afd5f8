"""Explainers that give the model another picture or another text."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


def _on(model, pictures, tokens):
    return parts.gradient_map(model, pictures, lambda x: parts.cosine(model, x, tokens))


def _blurred(images):
    return F.avg_pool2d(images, 3, 1, 1)


@TABLE.faulty("P103")
def blurred_picture(model, images, tokens):
    return _on(model, _blurred(images), tokens)


@TABLE.faulty("P103")
def blurred_picture_after_a_clean_run(model, images, tokens):
    """The clean score is computed and not used."""
    with torch.no_grad():
        parts.cosine(model, images, tokens)
    return _on(model, _blurred(images), tokens)


@TABLE.faulty("P103")
def renormalized_picture(model, images, tokens):
    """Other mean and deviation than the model's."""
    mean = torch.tensor([0.48, 0.46, 0.41])[:, None, None]
    std = torch.tensor([0.27, 0.26, 0.28])[:, None, None]
    return _on(model, (images * std + mean - 0.5) / 0.5, tokens)


@TABLE.faulty("P103")
def zoomed_picture(model, images, tokens):
    cut = images[..., 2:-2, 2:-2]
    size = images.shape[-2:]
    return _on(model, F.interpolate(cut, size=size, mode="bicubic"), tokens)


@TABLE.faulty("P103")
def flipped_picture(model, images, tokens):
    return _on(model, images.flip(-1), tokens).flip(-1)


@TABLE.faulty("P103")
def shifted_picture(model, images, tokens):
    return _on(model, images.roll(1, -1), tokens)


@TABLE.faulty("P103")
def gray_picture(model, images, tokens):
    return _on(model, images.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous(), tokens)


@TABLE.faulty("P103")
def slightly_noisy_picture(model, images, tokens):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return _on(model, images + 0.001 * noise, tokens)


@TABLE.faulty("P103")
def picture_of_eight_bits_without_saying_so(model, images, tokens):
    return _on(model, (images * 255).round() / 255, tokens)


@TABLE.faulty("P103 P104 P105")
def own_size_with_interpolated_positions(model, images, tokens):
    v = model.visual
    text = parts.text_unit(model, tokens)
    rows = v.grid_size[0] + 2
    size = rows * v.conv1.kernel_size[0]
    table = v.positional_embedding
    grid = table[1:].T.reshape(1, -1, *v.grid_size)
    grid = F.interpolate(grid, size=(rows, rows), mode="bicubic").flatten(2).transpose(1, 2)

    def score(pixels):
        big = F.interpolate(pixels, size=(size, size), mode="bicubic")
        x = v.conv1(big).flatten(2).transpose(1, 2)
        cls = v.class_embedding.expand(len(x), 1, -1) + table[:1]
        x = v.transformer(v.ln_pre(torch.cat([cls, x + grid], 1)))
        return (parts.readout(model, x) * text).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.faulty("P103")
def integrated_gradients_on_a_blurred_picture(model, images, tokens):
    end = _blurred(images)
    total = torch.zeros_like(images)
    for alpha in (torch.arange(8) + 0.5) / 8:
        x = (alpha * end).requires_grad_()
        total += torch.autograd.grad(parts.cosine(model, x, tokens).sum(), x)[0]
    return parts.pooled_grid(model, (total * end).sum(1))


@TABLE.faulty("P103")
def smooth_grad_on_a_flipped_picture(model, images, tokens):
    generator = torch.Generator().manual_seed(0)
    total = 0
    for _ in range(8):
        noise = 0.2 * torch.randn(images.shape, generator=generator)
        total = total + _on(model, images.flip(-1) + noise, tokens)
    return total.flip(-1)


@TABLE.faulty("P103")
def rise_on_a_shifted_picture(model, images, tokens):
    text = parts.text_unit(model, tokens)
    generator = torch.Generator().manual_seed(0)
    cells = (torch.rand(60, 1, 4, 4, generator=generator) < 0.5).float()
    masks = F.interpolate(cells, size=images.shape[-2:], mode="bilinear", align_corners=False)
    moved = images.roll((2, 2), (-2, -1))
    maps = []
    with torch.no_grad():
        for image, t in zip(moved, text, strict=True):
            features = F.normalize(model.encode_image(image * masks), dim=-1)
            maps.append(((features @ t)[:, None, None] * masks[:, 0]).mean(0))
    return parts.pooled_grid(model, torch.stack(maps))


@TABLE.faulty("P103")
def occlusion_of_a_gray_picture(model, images, tokens):
    text = parts.text_unit(model, tokens)
    gray = images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    p = model.visual.conv1.kernel_size[0]
    rows, columns = model.visual.grid_size
    out = torch.zeros(len(images), rows, columns)
    with torch.no_grad():
        full = (model.encode_image(gray, normalize=True) * text).sum(-1)
        for i in range(rows):
            for j in range(columns):
                x = gray.clone()
                x[..., i * p : (i + 1) * p, j * p : (j + 1) * p] = 0
                out[:, i, j] = full - (model.encode_image(x, normalize=True) * text).sum(-1)
    return out


@TABLE.faulty("P103 P104")
def other_words(model, images, tokens):
    other = parts.class_prompts(tokens)[:1].expand(len(tokens), -1)
    return _on(model, images, other)


@TABLE.faulty("P103 P104")
def text_cut_short(model, images, tokens):
    end = tokens.max()
    short = tokens.clone()
    short[:, 3] = end
    short[:, 4:] = 0
    return _on(model, images, short)


@TABLE.faulty("P103 P104")
def context_cut(model, images, tokens):
    """Only as many positions as there are words, less one word."""
    t = parts.text_of(model)
    cut = tokens[:, : int(tokens.argmax(-1).min())].clone()
    cut[:, -1] = tokens.max()
    x = t.token_embedding(cut) + t.positional_embedding[: cut.shape[1]]
    x = t.transformer(x, attn_mask=t.attn_mask[: cut.shape[1], : cut.shape[1]])
    text = parts.readout_text(model, x, cut).detach()
    return parts.gradient_map(
        model, images, lambda p: (model.encode_image(p, normalize=True) * text).sum(-1)
    )
