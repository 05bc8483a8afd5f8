"""Explainers that take no gradient, or choose among texts, and explain another score."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


def _occlusion(model, images, score):
    """Drop of a score where a patch is blank, through plain Python numbers."""
    rows, columns = model.visual.grid_size
    side = model.visual.conv1.kernel_size[0]
    drops = torch.zeros(len(images), rows, columns)
    with torch.no_grad():
        full = score(images)
        for i in range(rows):
            for j in range(columns):
                blank = images.clone()
                blank[..., i * side : (i + 1) * side, j * side : (j + 1) * side] = 0
                for n, drop in enumerate(full - score(blank)):
                    drops[n, i, j] = drop.item()
    return drops


def _logits(model, images, tokens):
    """Logits of the pair's own text, then of a few others."""
    texts = parts.text_unit(model, torch.cat([tokens, parts.class_prompts(tokens)]))
    return model.logit_scale.exp() * model.encode_image(images, normalize=True) @ texts.T


@TABLE.faulty("P104")
def rival_among_several_logits(model, images, tokens):
    return parts.gradient_map(model, images, lambda x: _logits(model, x, tokens)[:, len(tokens)])


@TABLE.faulty("P104")
def rival_by_a_vector(model, images, tokens):
    x = images.clone().requires_grad_()
    logits = _logits(model, x, tokens)
    chosen = torch.zeros_like(logits)
    chosen[:, -1] = 1
    logits.backward(gradient=chosen)
    return parts.pooled_grid(model, x.grad.abs().sum(1))


@TABLE.faulty("P104")
def occlusion_of_a_rival(model, images, tokens):
    return _occlusion(model, images, lambda x: _logits(model, x, tokens)[:, len(tokens)])


@TABLE.faulty("P104")
def occlusion_without_the_final_norm(model, images, tokens):
    text = parts.text_unit(model, tokens)
    blocks = len(model.visual.transformer.resblocks)

    def score(x):
        feature = parts.before(model, x, blocks)[:, 0] @ model.visual.proj
        return (F.normalize(feature, dim=-1) * text).sum(-1)

    return _occlusion(model, images, score)


@TABLE.faulty("P104")
def occlusion_of_averaged_tokens(model, images, tokens):
    text = parts.text_unit(model, tokens)
    blocks = len(model.visual.transformer.resblocks)

    def score(x):
        mean = model.visual.ln_post(parts.before(model, x, blocks)).mean(1)
        return (F.normalize(mean @ model.visual.proj, dim=-1) * text).sum(-1)

    return _occlusion(model, images, score)


def _patch_similarities(model, images, text):
    """Similarity of each patch token with the text, (b, patches)."""
    x = parts.before(model, images, len(model.visual.transformer.resblocks))
    patches = F.normalize(model.visual.ln_post(x[:, 1:]) @ model.visual.proj, dim=-1)
    return (patches * text[:, None]).sum(-1)


@TABLE.faulty("P104")
def occlusion_of_the_best_patch_token(model, images, tokens):
    text = parts.text_unit(model, tokens)
    return _occlusion(model, images, lambda x: _patch_similarities(model, x, text).amax(1))


@TABLE.faulty("P104")
def masks_weighed_by_the_mean_patch_token(model, images, tokens):
    """RISE in one batch, over the mean similarity of the patch tokens."""
    text = parts.text_unit(model, tokens)
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(64, 1, *model.visual.grid_size, generator=generator).round()
    wide = F.interpolate(masks, size=images.shape[-2:])
    with torch.no_grad():
        scores = [
            _patch_similarities(model, image * wide, t.expand(len(wide), -1)).mean(1)
            for image, t in zip(images, text, strict=True)
        ]
    return torch.stack([(s[:, None, None] * masks[:, 0]).sum(0) for s in scores])


@TABLE.faulty("P103")
def occlusion_of_a_shifted_picture_beside_a_clean_run(model, images, tokens):
    with torch.no_grad():
        parts.cosine(model, images, tokens)
    shifted = images.roll(3, -1)
    return _occlusion(model, shifted, lambda x: parts.cosine(model, x, tokens))


@TABLE.faulty("P103")
def picture_written_in_place(model, images, targets):
    images.mul_(0.7).add_(0.2)
    return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, targets))


@TABLE.faulty("P102")
def global_hook_left_behind(model, images, targets):
    torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: None)
    return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, targets))
