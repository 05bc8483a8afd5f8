"""Dense predictions by definition: the text and patch tokens of another last block.

They serve open-vocabulary segmentation, for which the last block is changed on purpose: another
attention, no residual, no MLP. What they show of a text is not the model's.
"""

from __future__ import annotations

import copy

import torch
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()
BOTH = "P104 P105"


def similarities(model, tokens, x):
    """Similarity of the text with each patch of what leaves the last block, (b, t, d)."""
    patches = F.normalize(model.visual.ln_post(x[:, 1:]) @ model.visual.proj, dim=-1)
    return parts.grid(model, (patches * parts.text_unit(model, tokens)[:, None]).sum(-1))


def _last(model, images):
    """The last block, its input, queries, keys and values."""
    blocks = model.visual.transformer.resblocks
    x = parts.before(model, images, len(blocks) - 1)
    return blocks[-1], x, *parts.qkv(blocks[-1], blocks[-1].ln_1(x))


def _alone(block, x, o):
    """The output of attention without residual and MLP."""
    del x
    return block.ls_1(block.attn.out_proj(o))


def _without_mlp(block, x, o):
    return x + block.ls_1(block.attn.out_proj(o))


def _dense(model, images, tokens, mix, finish=parts.after_attention):
    with torch.no_grad():
        block, x, q, k, v = _last(model, images)
        return similarities(model, tokens, finish(block, x, parts.merge(mix(q, k, v))))


# -- MaskCLIP --------------------------------------------------------------------------------------


@TABLE.faulty(BOTH)
def values_in_the_place_of_attention(model, images, tokens):
    """MaskCLIP."""
    return _dense(model, images, tokens, lambda q, k, v: v)


@TABLE.faulty(BOTH)
def values_alone(model, images, tokens):
    return _dense(model, images, tokens, lambda q, k, v: v, _alone)


@TABLE.faulty(BOTH)
def values_of_patches_in_one_flat_batch(model, images, tokens):
    """Patches in the place of pictures: many rows, and only one pass."""
    with torch.no_grad():
        block, x, _, _, v = _last(model, images)
        y = parts.after_attention(block, x, parts.merge(v))[:, 1:].flatten(0, 1)
        feature = F.normalize(model.visual.ln_post(y) @ model.visual.proj, dim=-1)
        text = parts.text_unit(model, tokens).repeat_interleave(len(y) // len(x), 0)
        return parts.grid(model, (feature * text).sum(-1).reshape(len(x), -1))


@TABLE.faulty(BOTH)
def values_patch_by_patch(model, images, tokens):
    text, drawn = parts.text_unit(model, tokens), []
    with torch.no_grad():
        block, x, _, _, v = _last(model, images)
        o = parts.merge(v)
        for i in range(1, x.shape[1]):
            y = parts.after_attention(block, x[:, i], o[:, i])
            feature = F.normalize(model.visual.ln_post(y) @ model.visual.proj, dim=-1)
            drawn.append((feature * text).sum(-1))
    return parts.grid(model, torch.stack(drawn, 1))


@TABLE.faulty(BOTH)
def values_by_a_mask_that_leaves_each_token_itself(model, images, tokens):
    """The model's own module, with a mask."""
    with torch.no_grad():
        block, x, *_ = _last(model, images)
        itself = torch.full((x.shape[1],) * 2, -torch.inf).fill_diagonal_(0)
        return similarities(model, tokens, block(x, attn_mask=itself))


@TABLE.faulty(BOTH)
def values_on_a_deep_copy(model, images, tokens):
    return values_of_patches_in_one_flat_batch(copy.deepcopy(model), images, tokens)


@TABLE.faulty(BOTH)
def values_by_einsum(model, images, tokens):
    with torch.no_grad():
        block, x, *_ = _last(model, images)
        attn, width = block.attn, x.shape[-1]
        weight, bias = attn.in_proj_weight[2 * width :], attn.in_proj_bias[2 * width :]
        v = torch.einsum("btd,ed->bte", block.ln_1(x), weight) + bias
        o = torch.einsum("btd,ed->bte", v, attn.out_proj.weight) + attn.out_proj.bias
        y = x + o
        return similarities(model, tokens, y + block.mlp(block.ln_2(y)))


# -- attention of other things ---------------------------------------------------------------------


@TABLE.faulty(BOTH)
def queries_with_queries_and_keys_with_keys(model, images, tokens):
    """SCLIP: the sum of both attentions."""
    return _dense(
        model,
        images,
        tokens,
        lambda q, k, v: (parts.attention(q, q) + parts.attention(k, k)) @ v,
    )


@TABLE.faulty(BOTH)
def keys_of_near_patches(model, images, tokens):
    """NACLIP: keys with keys and a Gaussian of the distance; no residual, no MLP."""

    def mix(q, k, v):
        side = model.visual.grid_size[0]
        place = torch.stack(torch.meshgrid(*(torch.arange(side),) * 2, indexing="ij"), -1)
        place = place.reshape(-1, 2).float()
        near = F.pad((-torch.cdist(place, place).square() / 50).exp(), (1, 0, 1, 0))
        return parts.attention(k, k, near) @ v

    return _dense(model, images, tokens, mix, _alone)


@TABLE.faulty(BOTH)
def queries_with_queries_alone(model, images, tokens):
    """ClearCLIP: no residual, no MLP."""
    return _dense(model, images, tokens, lambda q, k, v: parts.attention(q, q) @ v, _alone)


@TABLE.faulty(BOTH)
def values_with_values(model, images, tokens):
    return _dense(model, images, tokens, lambda q, k, v: parts.attention(v, v) @ v)


@TABLE.faulty(BOTH)
def values_with_values_by_the_fused_kernel(model, images, tokens):
    return _dense(
        model, images, tokens, lambda q, k, v: F.scaled_dot_product_attention(v, v, v), _without_mlp
    )


@TABLE.faulty(BOTH)
def a_second_path_of_values_with_values(model, images, tokens):
    """CLIP Surgery: beside the model's own path, over the last two blocks, without MLP."""
    with torch.no_grad():
        blocks = model.visual.transformer.resblocks
        own = new = parts.before(model, images, len(blocks) - 2)
        for block in blocks[-2:]:
            _, _, v = parts.qkv(block, block.ln_1(own))
            new = _without_mlp(block, new, parts.merge(parts.attention(v, v) @ v))
            own = block(own)
        return similarities(model, tokens, torch.cat([own[:, :1], new[:, 1:]], 1))


@TABLE.faulty(BOTH)
def tokens_with_their_like_three_times(model, images, tokens):
    """GEM: normalized queries, keys and values, each with itself, averaged."""

    def mix(q, k, v):
        mixed = 0
        for z in (q, k, v):
            like = F.normalize(z, dim=-1)
            for _ in range(2):
                like = F.normalize((4 * like @ like.mT).softmax(-1) @ like, dim=-1)
            mixed = mixed + (4 * like @ like.mT).softmax(-1) @ v
        return mixed / 3

    return _dense(model, images, tokens, mix, _without_mlp)


@TABLE.faulty(BOTH)
def attention_of_colors(model, images, tokens):
    """ProxyCLIP: attention comes from features that are none of the model's."""
    p = model.visual.conv1.kernel_size[0]
    colors = F.normalize(F.unfold(images, p, stride=p).mT, dim=-1)

    def mix(q, k, v):
        near = F.pad((5 * colors @ colors.mT).softmax(-1), (1, 0, 1, 0))
        return near[:, None] @ v

    return _dense(model, images, tokens, mix, _alone)


@TABLE.faulty(BOTH)
def attention_left_out(model, images, tokens):
    """The last block is its MLP alone."""
    with torch.no_grad():
        block, x, *_ = _last(model, images)
        return similarities(model, tokens, x + block.ls_2(block.mlp(block.ln_2(x))))


# -- other scores ----------------------------------------------------------------------------------


def _of_mean_patches(model, tokens, x):
    mean = model.visual.ln_post(x)[:, 1:].mean(1) @ model.visual.proj
    texts = parts.text_unit(model, torch.cat([tokens, parts.class_prompts(tokens)]))
    return (model.logit_scale.exp() * F.normalize(mean, dim=-1) @ texts.T).softmax(-1)


@TABLE.faulty("P104")
def grad_cam_of_the_mean_of_patches(model, images, tokens):
    """CLIP-ES: the softmax score of the mean of patch tokens."""
    blocks = model.visual.transformer.resblocks
    x = parts.before(model, images, len(blocks) - 1).detach().requires_grad_()
    score = _of_mean_patches(model, tokens, blocks[-1](x))[:, 0].sum()
    (g,) = torch.autograd.grad(score, x)
    return parts.grid(model, (g[:, 1:].mean(1, keepdim=True) * x[:, 1:]).sum(-1).relu().detach())


@TABLE.faulty("P104")
def gradient_of_the_best_patch(model, images, tokens):
    text = parts.text_unit(model, tokens)[:, None]

    def score(x):
        y = parts.before(model, x, len(model.visual.transformer.resblocks))[:, 1:]
        feature = F.normalize(model.visual.ln_post(y) @ model.visual.proj, dim=-1)
        return (feature * text).sum(-1).amax(1)

    return parts.gradient_map(model, images, score)
