"""Honest explainers of the kinds that released code is of: copies, conversions, patches, caches."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()
_KEPT: dict[str, torch.Tensor] = {}


def _plain(model, images, tokens):
    return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens))


def _last(model, images):
    """Tokens that enter the last image block, and the block."""
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        return parts.before(model, images, len(blocks) - 1), blocks[-1]


# -- copies and conversions ------------------------------------------------------------------------


class _Converted(nn.Module):
    """The image tower as other libraries keep it: queries, keys and values apart, a linear head."""

    def __init__(self, tower):
        super().__init__()
        self.tower, self.blocks = tower, tower.transformer.resblocks
        self.token = nn.Parameter(tower.class_embedding.detach()[None, None].clone())
        self.positions = nn.Parameter(tower.positional_embedding.detach()[None].clone())
        width, features = tower.proj.shape
        self.head = nn.Linear(width, features, bias=False)
        self.head.weight = nn.Parameter(tower.proj.detach().T.contiguous())
        self.qkv = nn.ModuleList(
            nn.ModuleList(nn.Linear(width, width) for _ in range(3)) for _ in self.blocks
        )
        with torch.no_grad():
            for linears, block in zip(self.qkv, self.blocks, strict=True):
                weights = block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3)
                for linear, weight, bias in zip(linears, *weights, strict=True):
                    linear.weight.copy_(weight)
                    linear.bias.copy_(bias)

    def forward(self, x):
        x = self.tower.conv1(x).flatten(2).mT
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        x = self.tower.ln_pre(x)
        for linears, block in zip(self.qkv, self.blocks, strict=True):
            y = block.ln_1(x)
            heads = (
                z(y).unflatten(-1, (block.attn.num_heads, -1)).transpose(1, 2) for z in linears
            )
            x = parts.after_attention(block, x, parts.merge(F.scaled_dot_product_attention(*heads)))
        return self.head(self.tower.ln_post(x[:, 0]))


@TABLE.honest
def conversion_to_another_library(model, images, tokens):
    tower, text = _Converted(model.visual), parts.text_unit(model, tokens)
    return parts.gradient_map(
        model, images, lambda x: (F.normalize(tower(x), dim=-1) * text).sum(-1)
    )


@TABLE.honest
def patch_embedding_as_a_product(model, images, tokens):
    """Unfolded patches times the kernel, as libraries without convolutions have it."""
    text, kernel = parts.text_unit(model, tokens), model.visual.conv1.weight
    size = kernel.shape[-1]

    def score(x):
        patches = F.unfold(x, size, stride=size).mT @ kernel.flatten(1).T
        token = model.visual.class_embedding.expand(len(x), 1, -1)
        y = model.visual.ln_pre(torch.cat([token, patches], 1) + model.visual.positional_embedding)
        for block in model.visual.transformer.resblocks:
            y = block(y)
        return (parts.readout(model, y) * text).sum(-1)

    return parts.gradient_map(model, images, score)


@TABLE.honest
def own_code_on_a_deep_copy(model, images, tokens):
    return parts.grad_times_attention(copy.deepcopy(model), images, tokens)


@TABLE.honest
def weights_loaded_into_a_new_model(model, images, tokens):
    """A second model of the same class, whose weights come by a state dict."""
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        parameter.data = torch.zeros_like(parameter)
    other.load_state_dict(model.state_dict())
    return _plain(other, images, tokens)


@TABLE.honest
def copy_in_brain_floats(model, images, tokens):
    """Rounded weights in their own precision, as released code casts the model to save memory."""
    half = copy.deepcopy(model).bfloat16()
    return parts.gradient_map(
        model, images, lambda x: parts.cosine(half, x.bfloat16(), tokens).float()
    )


# -- attention in other words ----------------------------------------------------------------------


def _attention_of_the_last_block(model, images):
    x, block = _last(model, images)
    q, k, _ = parts.qkv(block, block.ln_1(x))
    return (q @ k.mT / q.shape[-1] ** 0.5).detach()


@TABLE.honest
def attention_by_log_softmax(model, images, tokens):
    a = _attention_of_the_last_block(model, images).log_softmax(-1).exp()
    return parts.grid(model, a[:, :, 0, 1:].mean(1))


@TABLE.honest
def attention_by_exponentials_and_their_sum(model, images, tokens):
    e = _attention_of_the_last_block(model, images).exp()
    return parts.grid(model, (e / e.sum(-1, keepdim=True))[:, :, 0, 1:].mean(1))


@TABLE.honest
def attention_in_numpy_and_back(model, images, tokens):
    logits = _attention_of_the_last_block(model, images).numpy()
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return parts.grid(model, torch.from_numpy(e / e.sum(-1, keepdims=True))[:, :, 0, 1:].mean(1))


# -- probes ----------------------------------------------------------------------------------------


@TABLE.honest
def smooth_grad_of_two_samples(model, images, tokens):
    noise = torch.randn(2, *images.shape[1:], generator=torch.Generator().manual_seed(0))
    return sum(_plain(model, images + 0.15 * n, tokens) for n in noise)


def _patched(model, source, base, tokens, first, last):
    """Score of the base picture with one patch's tokens of the source, patch after patch."""
    blocks, kept = model.visual.transformer.resblocks, {}
    hooks = [
        block.register_forward_pre_hook(lambda m, a, i=i: kept.__setitem__(i, a[0].clone()))
        for i, block in enumerate(blocks)
    ]
    model.encode_image(source)
    for hook in hooks:
        hook.remove()
    scores = []
    for patch in range(1, kept[0].shape[1]):

        def put(module, args, index, patch=patch):
            x = args[0].clone()
            x[:, patch] = kept[index][:, patch]
            return (x, *args[1:])

        hooks = [
            blocks[i].register_forward_pre_hook(lambda m, a, i=i, put=put: put(m, a, i))
            for i in range(first, last)
        ]
        scores.append(parts.cosine(model, base, tokens))
        for hook in hooks:
            hook.remove()
    return parts.grid(model, torch.stack(scores, 1))


@TABLE.honest
def activation_patching_into_a_blank_picture(model, images, tokens):
    with torch.no_grad():
        parts.cosine(model, images, tokens)
        return _patched(model, images, torch.zeros_like(images), tokens, 1, 3)


@TABLE.honest
def activation_patching_out_of_the_picture(model, images, tokens):
    with torch.no_grad():
        clean = parts.cosine(model, images, tokens)[:, None, None]
        return clean - _patched(model, torch.zeros_like(images), images, tokens, 1, 3)


@TABLE.honest
def activation_patching_in_one_block(model, images, tokens):
    with torch.no_grad():
        clean = parts.cosine(model, images, tokens)[:, None, None]
        return clean - _patched(model, images.flip(-1), images, tokens, 2, 3)


@TABLE.honest
def activation_patching_averaged_over_three_blank_pictures(model, images, tokens):
    """More runs than are looked at operation by operation."""
    with torch.no_grad():
        parts.cosine(model, images, tokens)
        blanks = [torch.full_like(images, shade) for shade in (-0.5, 0.0, 0.5)]
        return sum(_patched(model, images, blank, tokens, 1, 3) for blank in blanks) / 3


@TABLE.honest
def activation_patching_of_all_patches_in_one_batch(model, images, tokens):
    blocks, kept = model.visual.transformer.resblocks, {}
    count = model.visual.positional_embedding.shape[0] - 1
    rows = torch.arange(count)

    def put(index):
        def hook(module, args):
            if index not in kept:
                kept[index] = args[0].clone()
                return None
            x = args[0].clone()
            x[rows, rows + 1] = kept[index][0, rows + 1]
            return (x, *args[1:])

        return blocks[index].register_forward_pre_hook(hook)

    hooks = [put(index) for index in range(1, len(blocks))]
    with torch.no_grad():
        parts.cosine(model, images, tokens)
        blank = torch.zeros_like(images).expand(count, -1, -1, -1)
        scores = parts.cosine(model, blank, tokens.expand(count, -1))
    for hook in hooks:
        hook.remove()
    return parts.grid(model, scores[None])


# -- what is kept, wrapped, and left ---------------------------------------------------------------


@TABLE.honest
def mean_feature_of_fixed_prompts(model, images, tokens):
    text = parts.text_unit(model, tokens)
    background = parts.text_unit(model, parts.class_prompts(tokens)).mean(0)
    direction = F.normalize(text - background, dim=-1)
    return parts.gradient_map(
        model, images, lambda x: (F.normalize(model.encode_image(x), dim=-1) * direction).sum(-1)
    )


def _wrapped(module, model, images, tokens):
    """Whatever a module gives, read by a wrapper of its forward that is taken off again."""
    kept, original = [], module.forward

    def forward(*args, **kwargs):
        out = original(*args, **kwargs)
        kept.append(out)
        return out

    module.forward = forward
    try:
        return _plain(model, images, tokens)
    finally:
        del module.forward


@TABLE.honest
def block_wrapped_to_read(model, images, tokens):
    return _wrapped(model.visual.transformer.resblocks[1], model, images, tokens)


@TABLE.honest
def mlp_wrapped_to_read(model, images, tokens):
    return _wrapped(model.visual.transformer.resblocks[-1].mlp, model, images, tokens)


@TABLE.honest
def attention_wrapped_to_ask_for_weights(model, images, tokens):
    attn = model.visual.transformer.resblocks[-1].attn
    kept, original = [], attn.forward

    def forward(*args, **kwargs):
        out = original(*args, **{**kwargs, "need_weights": True, "average_attn_weights": False})
        kept.append(out[1])
        return out

    attn.forward = forward
    try:
        with torch.no_grad():
            model.encode_image(images)
    finally:
        del attn.forward
    return parts.grid(model, kept[0].mean(1)[:, 0, 1:])


@TABLE.honest
def gradients_left_on_parameters(model, images, tokens):
    x = images.clone().requires_grad_()
    parts.cosine(model, x, tokens).sum().backward()
    return parts.pooled_grid(model, x.grad.abs().sum(1))
