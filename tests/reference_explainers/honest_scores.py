"""Honest explainers that contract, choose or compare the model's scores in their own ways."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()


@TABLE.honest
def feature_gradient_along_the_text(model, images, tokens):
    x = images.clone().requires_grad_()
    feature = model.encode_image(x, normalize=True)
    (g,) = torch.autograd.grad(feature, x, grad_outputs=parts.text_unit(model, tokens))
    return parts.pooled_grid(model, g.abs().sum(1))


@TABLE.honest
def jacobian_of_the_feature_times_the_text(model, images, tokens):
    maps = []
    for image, text in zip(images.split(1), parts.text_unit(model, tokens), strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda x: model.encode_image(x, normalize=True)[0], image
        )
        maps.append(parts.pooled_grid(model, torch.einsum("e,ebchw->bhw", text, jacobian).abs()))
    return torch.cat(maps)


@TABLE.honest
def one_hot_among_as_many_texts_as_channels(model, images, tokens):
    count = model.visual.proj.shape[1] - 1
    generator = torch.Generator().manual_seed(5)
    others = tokens[:1].repeat(count, 1)
    others[:, 2:5] = torch.randint(1, 90, (count, 3), generator=generator)

    def one(image, text):
        texts = parts.text_unit(model, torch.cat([text, others]))
        x = image.clone().requires_grad_()
        logits = model.logit_scale.exp() * model.encode_image(x, normalize=True) @ texts.T
        one_hot = torch.zeros_like(logits)
        one_hot[:, 0] = 1
        (g,) = torch.autograd.grad((logits * one_hot).sum(), x)
        return parts.pooled_grid(model, g.abs().sum(1))

    return torch.cat([one(*pair) for pair in zip(images.split(1), tokens.split(1), strict=True)])


@TABLE.honest
def softmax_of_token_norms(model, images, tokens):
    """A class-agnostic map, scaled by a softmax over patches."""
    with torch.no_grad():
        norms = parts.before(model, images, 2)[:, 1:].norm(dim=-1)
    return parts.grid(model, F.softmax(norms / norms.std(dim=-1, keepdim=True), dim=-1))


@TABLE.honest
def contrast_with_a_rival(model, images, tokens):
    """The map of the own text minus that of another, each by its own gradient."""
    rival = parts.class_prompts(tokens)[:1].expand(len(tokens), -1)
    own, other = (
        parts.gradient_map(model, images, lambda x, t=text: parts.cosine(model, x, t))
        for text in (tokens, rival)
    )
    return (own - other).relu()


@TABLE.honest
def patch_similarities_of_noisy_pictures(model, images, tokens):
    """Similarity of each patch token with the text; every noisy map is scaled by its own range."""
    text = parts.text_unit(model, tokens)[:, None]
    generator = torch.Generator().manual_seed(0)
    total = 0
    with torch.no_grad():
        for _ in range(6):
            noisy = images + 0.1 * torch.randn(images.shape[1:], generator=generator)
            x = parts.before(model, noisy, len(model.visual.transformer.resblocks))
            feature = model.visual.ln_post(x[:, 1:]) @ model.visual.proj
            maps = (F.normalize(feature, dim=-1) * text).sum(-1)
            low, high = maps.amin(1, keepdim=True), maps.amax(1, keepdim=True)
            total = total + (maps - low) / (high - low)
    return parts.grid(model, total)


@TABLE.honest
def similarities_of_patches_in_one_flat_batch(model, images, tokens):
    """A readout of the model's own last tokens, patches in the place of pictures."""
    text = parts.text_unit(model, tokens)
    with torch.no_grad():
        x = parts.before(model, images, len(model.visual.transformer.resblocks))
        feature = F.normalize(model.visual.ln_post(x[:, 1:].flatten(0, 1)) @ model.visual.proj)
        each = (feature * text.repeat_interleave(x.shape[1] - 1, 0)).sum(-1)
    return parts.grid(model, each.reshape(len(x), -1))


@TABLE.honest
def logit_lens_over_the_blocks(model, images, tokens):
    """What the patch tokens after each block say of the text, averaged."""
    text = parts.text_unit(model, tokens)[:, None]
    total = 0
    with torch.no_grad():
        for count in range(1, len(model.visual.transformer.resblocks) + 1):
            x = parts.before(model, images, count)[:, 1:]
            feature = F.normalize(model.visual.ln_post(x) @ model.visual.proj, dim=-1)
            total = total + (feature * text).sum(-1)
    return parts.grid(model, total)


@TABLE.honest
def knock_out_of_the_pooled_token_in_one_flat_batch(model, images, tokens):
    """Only the class token of the last block is computed, once with each patch closed to it."""
    text, blocks = parts.text_unit(model, tokens), model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, v = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
        closed = torch.eye(x.shape[1]) * -1e9
        closed[0] = 0
        logits = q[:, None, :, :1] @ k[:, None].mT / q.shape[-1] ** 0.5 + closed[:, None, None]
        o = (logits.softmax(-1) @ v[:, None])[:, :, :, 0].flatten(2).flatten(0, 1)
        own = x[:, :1].expand(-1, x.shape[1], -1).flatten(0, 1)
        y = parts.after_attention(blocks[-1], own, o)
        feature = F.normalize(model.visual.ln_post(y) @ model.visual.proj, dim=-1)
        scores = (feature * text.repeat_interleave(x.shape[1], 0)).sum(-1)
        scores = scores.reshape(len(x), -1)
    return parts.grid(model, scores[:, :1] - scores[:, 1:])
