"""Explainers that read what depends on how the weights are written down, one thing each.

Each entry names the function-preserving edits that move it, by algebra: so every edit has an
explainer that no other edit moves, or a reason why there is none (a rotation is a mixing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tests.reference_explainers import parts
from tests.reference_explainers.honest import HONEST
from tests.reference_explainers.member import Explain


@dataclass(frozen=True)
class Moved:
    """An explainer, and the edits of the last image block, or of the readouts, that move it."""

    explain: Explain
    edits: frozenset[str]

    @property
    def name(self) -> str:
        """The function's name, in words."""
        return self.explain.__name__.replace("_", " ")


MOVED: list[Moved] = []


def by(*edits: str) -> Callable[[Explain], Explain]:
    """Register an explainer that these edits move, and no other."""

    def register(explain: Explain) -> Explain:
        MOVED.append(Moved(explain, frozenset(edits)))
        return explain

    return register


def _last(model, images):
    """The last block, and what enters it."""
    blocks = model.visual.transformer.resblocks
    with torch.no_grad():
        return blocks[-1], parts.before(model, images, len(blocks) - 1)


def _patches(model, tokens):
    """Length of each patch's vector, tokens (b, t, …)."""
    return parts.grid(model, tokens[:, 1:].flatten(2).norm(dim=-1))


def _by_head(model, images):
    """Queries, keys and values of the last block, (b, h, t, e)."""
    block, x = _last(model, images)
    with torch.no_grad():
        return parts.qkv(block, block.ln_1(x))


@by("key-bias")
def attention_logits_before_the_softmax(model, images, tokens):
    q, k, _ = _by_head(model, images)
    return parts.grid(model, (q @ k.mT).mean(1)[:, 0, 1:])


@by("query-key-rotation", "query-key-mixing")
def first_channel_of_centered_keys(model, images, tokens):
    k = _by_head(model, images)[1]
    return parts.grid(model, (k - k.mean(2, keepdim=True))[..., 0].abs().mean(1)[:, 1:])


@by("query-key-mixing")
def length_of_centered_keys(model, images, tokens):
    k = _by_head(model, images)[1]
    return parts.grid(model, (k - k.mean(2, keepdim=True)).norm(dim=-1).mean(1)[:, 1:])


@by("key-bias", "query-key-mixing")
def cosine_of_query_and_keys(model, images, tokens):
    q, k, _ = _by_head(model, images)
    cosine = torch.cosine_similarity(q[:, :, :1], k, dim=-1).mean(1)
    return parts.grid(model, cosine[:, 1:])


@by("value-bias")
def gradient_times_attention(model, images, tokens):
    return parts.grad_times_attention(model, images, tokens)


@by("value-output-mixing")
def length_of_centered_values(model, images, tokens):
    v = _by_head(model, images)[2]
    return parts.grid(model, (v - v.mean(2, keepdim=True)).norm(dim=-1).mean(1)[:, 1:])


@by("value-bias", "value-output-mixing")
def attention_times_length_of_values(model, images, tokens):
    q, k, v = _by_head(model, images)
    weighed = parts.attention(q, k)[:, :, 0] * v.norm(dim=-1)
    return parts.grid(model, weighed.mean(1)[:, 1:])


@by("head-permutation")
def attention_of_the_first_head(model, images, tokens):
    q, k, _ = _by_head(model, images)
    return parts.grid(model, parts.attention(q, k)[:, 0, 0, 1:])


@by("neuron-permutation")
def first_half_of_the_neurons(model, images, tokens):
    block, x = _last(model, images)
    with torch.no_grad():
        hidden = block.mlp.gelu(block.mlp.c_fc(block.ln_2(x + _attended(block, x))))
    return _patches(model, hidden[..., : hidden.shape[-1] // 2])


def _attended(block, x):
    y = block.ln_1(x)
    return block.ls_1(block.attn(y, y, y, need_weights=False)[0])


@by("attention-norm-folding")
def length_of_normalized_tokens(model, images, tokens):
    block, x = _last(model, images)
    with torch.no_grad():
        return _patches(model, block.ln_1(x))


@by("mlp-norm-folding")
def length_of_tokens_normalized_for_the_mlp(model, images, tokens):
    block, x = _last(model, images)
    with torch.no_grad():
        return _patches(model, block.ln_2(x + _attended(block, x)))


@by("final-norm-folding")
def length_of_tokens_after_the_final_norm(model, images, tokens):
    block, x = _last(model, images)
    with torch.no_grad():
        return _patches(model, model.visual.ln_post(block(x)))


@by("projection-rotation")
def first_channel_of_projected_tokens(model, images, tokens):
    block, x = _last(model, images)
    with torch.no_grad():
        projected = model.visual.ln_post(block(x)) @ model.visual.proj
    return parts.grid(model, projected[:, 1:, 0].abs())


@by()
def length_of_tokens(model, images, tokens):
    block, x = _last(model, images)
    with torch.no_grad():
        return _patches(model, block(x))


@by()
def lengths_of_what_each_head_writes(model, images, tokens):
    """The part of a head's output that no bias of the values reaches, after the projection."""
    q, k, v = _by_head(model, images)
    block, _ = _last(model, images)
    with torch.no_grad():
        centered = v - v.mean(2, keepdim=True)
        out = block.attn.out_proj.weight.unflatten(1, (block.attn.num_heads, -1))
        written = torch.einsum("bht,bhte,dhe->bhtd", parts.attention(q, k)[:, :, 0], centered, out)
    return parts.grid(model, written.norm(dim=-1).sum(1)[:, 1:])


# What moves the honest members of the panel: of those not named here, nothing. Whatever weighs
# dS/da by the attention moves with the value bias, which adds a constant to dS/da; so does what
# closes a head, the bias of its values with it. Logits that are weakened by a factor lose a part of
# the key bias that differs from key to key. Grad-CAM on the normalized tokens moves with the norm's
# gain.
_HONEST = {
    "value-bias": (
        "gradient times attention by own code",
        "generic attention attribution",
        "fused attention by own code",
        "class query only",
        "attention of each head",
        "text attention by own code",
        "gradient times attention in a pool",
        "integrated gradients of attention",
        "integrated gradients from uniform attention",
        "weighted attention by ablated heads",
    ),
    "key-bias": ("suppressed tokens with their like",),
    "attention-norm-folding": ("grad cam by hooks",),
}
# Gradient times input of the last block's patches: they act through a norm that does not see their
# length, so that by Euler's theorem the map is 0, and what is drawn are its roundings.
ROUNDINGS_ONLY = "grad cam by retained gradients"

HONEST_MOVED = [
    Moved(member.explain, frozenset(e for e, names in _HONEST.items() if member.name in names))
    for member in HONEST
    if member.name != ROUNDINGS_ONLY
]
