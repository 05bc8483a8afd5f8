"""Planted faults of the kinds that released code shows, which the first edition let pass."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import _get_current_dispatch_mode

from tests.reference_explainers import parts
from tests.reference_explainers.member import Table

TABLE = Table()
_CALLS = [0]


def _plain(model, images, tokens):
    return parts.gradient_map(model, images, lambda x: parts.cosine(model, x, tokens))


def _one_head(model, images):
    """Logits of the last image block's attention as if it had one head."""
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, _ = parts.qkv(blocks[-1], blocks[-1].ln_1(x), 1)
        return q @ k.mT / q.shape[-1] ** 0.5


# -- one head in other words -----------------------------------------------------------------------


@TABLE.faulty("P105")
def one_head_by_log_softmax(model, images, tokens):
    return parts.grid(model, _one_head(model, images).log_softmax(-1).exp()[:, 0, 0, 1:])


@TABLE.faulty("P105")
def one_head_by_exponentials_and_their_sum(model, images, tokens):
    e = _one_head(model, images).exp()
    return parts.grid(model, (e / e.sum(-1, keepdim=True))[:, 0, 0, 1:])


@TABLE.faulty("P105")
def one_head_by_the_logarithm_of_the_sum(model, images, tokens):
    logits = _one_head(model, images)
    return parts.grid(model, (logits - logits.logsumexp(-1, keepdim=True)).exp()[:, 0, 0, 1:])


@TABLE.faulty("P105")
def one_head_in_numpy_times_a_clean_map(model, images, tokens):
    one = _one_head(model, images).softmax(-1)[:, 0, 0, 1:].numpy()
    one = torch.from_numpy(np.ascontiguousarray(one / one.max(-1, keepdims=True)))
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        x = parts.before(model, images, len(blocks) - 1)
        q, k, _ = parts.qkv(blocks[-1], blocks[-1].ln_1(x))
        return parts.grid(model, one * parts.attention(q, k)[:, :, 0, 1:].mean(1))


@TABLE.faulty("P105")
def one_head_through_plain_lists(model, images, tokens):
    rows = _one_head(model, images).softmax(-1)[:, 0, 0, 1:].tolist()
    return parts.grid(model, torch.tensor([[value**0.5 for value in row] for row in rows]))


# -- another network on a copy ---------------------------------------------------------------------


def _values_attend(block, x):
    _, _, v = parts.qkv(block, block.ln_1(x))
    a = (v @ v.mT / v.shape[-1] ** 0.5).softmax(-1)
    return parts.after_attention(block, x, parts.merge(a @ v))


@TABLE.faulty("P104 P105")
def values_attend_on_a_deep_copy(model, images, tokens):
    other, text = copy.deepcopy(model), parts.text_unit(model, tokens)

    def score(x):
        y = parts.before(other, x, 1)
        for block in other.visual.transformer.resblocks[1:]:
            y = _values_attend(block, y)
        return (parts.readout(other, y) * text).sum(-1)

    return parts.gradient_map(model, images, score)


class _QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def _quick(model):
    other = copy.deepcopy(model)
    for block in other.visual.transformer.resblocks:
        block.mlp.gelu = _QuickGELU()
    return other


@TABLE.faulty("P104 P105")
def another_activation_on_a_deep_copy(model, images, tokens):
    return _plain(_quick(model), images, tokens)


@TABLE.faulty("P104 P105")
def one_head_on_a_deep_copy(model, images, tokens):
    other = copy.deepcopy(model)
    attn = other.visual.transformer.resblocks[-1].attn
    attn.num_heads, attn.head_dim = 1, attn.embed_dim
    return _plain(other, images, tokens)


@TABLE.faulty("P104")
def altering_hook_on_the_final_norm_of_a_copy(model, images, tokens):
    other = copy.deepcopy(model)
    other.visual.ln_post.register_forward_hook(lambda module, args, out: out * 1.5 + 0.1)
    return _plain(other, images, tokens)


# -- under autocast --------------------------------------------------------------------------------


def _scaled(model, images, tokens, temperature):
    """The last block by own code at another temperature, everything under autocast."""
    text, block = parts.text_unit(model, tokens), model.visual.transformer.resblocks[-1]

    def score(x):
        with torch.autocast(x.device.type, torch.bfloat16):
            y = parts.before(model, x, len(model.visual.transformer.resblocks) - 1)
            q, k, v = parts.qkv(block, block.ln_1(y))
            a = (temperature * q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
            y = parts.after_attention(block, y, parts.merge(a.to(v.dtype) @ v))
            return (parts.readout(model, y) * text).sum(-1).float()

    return parts.gradient_map(model, images, score)


@TABLE.faulty("P104 P105")
def hotter_attention_under_autocast(model, images, tokens):
    return _scaled(model, images, tokens, 1.25)


@TABLE.faulty("P104 P105")
def colder_attention_under_autocast(model, images, tokens):
    return _scaled(model, images, tokens, 0.8)


@TABLE.faulty("P104 P105")
def another_activation_under_autocast(model, images, tokens):
    other = _quick(model)

    def score(x):
        with torch.autocast(x.device.type, torch.bfloat16):
            return parts.cosine(other, x, tokens).float()

    return parts.gradient_map(model, images, score)


# -- what is left behind ---------------------------------------------------------------------------


@TABLE.faulty("P102")
def default_dtype_left_behind(model, images, tokens):
    maps = _plain(model, images, tokens)
    torch.set_default_dtype(torch.float64)
    return maps


@TABLE.faulty("P102")
def default_device_left_behind(model, images, tokens):
    maps = _plain(model, images, tokens)
    torch.set_default_device("meta")
    return maps


@TABLE.faulty("P102")
def gradients_left_switched_off(model, images, tokens):
    maps = _plain(model, images, tokens)
    torch.set_grad_enabled(False)
    return maps


class _Around(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x, k_x=None, v_x=None, attn_mask=None):
        return self.block(x, k_x, v_x, attn_mask)


@TABLE.faulty("P102")
def block_left_wrapped_in_another(model, images, tokens):
    blocks = model.visual.transformer.resblocks
    blocks[-1] = _Around(blocks[-1])
    return _plain(model, images, tokens)


# -- another map where nobody looks ----------------------------------------------------------------


@TABLE.faulty("P109")
def flipped_at_every_second_call(model, images, tokens):
    _CALLS[0] += 1
    maps = _plain(model, images, tokens)
    return maps if _CALLS[0] % 2 else maps.flip(1)


@TABLE.faulty("P109")
def flipped_at_every_third_call(model, images, tokens):
    _CALLS[0] += 1
    maps = _plain(model, images, tokens)
    return maps if _CALLS[0] % 3 else maps.flip(1)


@TABLE.faulty("P109")
def honest_only_while_a_mode_is_active(model, images, tokens):
    if _get_current_dispatch_mode() is not None:
        return _plain(model, images, tokens)
    text = parts.text_unit(model, tokens)
    return parts.gradient_map(
        model, images, lambda x: F.normalize(model.encode_image(x).clamp(min=0), dim=-1) * text
    )
