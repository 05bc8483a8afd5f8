"""Edits of a block's attention that keep its function (the gauge symmetries of attention).

Writing q, k, v for a token's query, key and value in one head, the function depends on them only
through softmax(q . k) and W_O v; rows of the softmax sum to 1. Everything here follows from that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from audit.interventions.function_preserving.matrices import (
    gaussian,
    invertible,
    orthogonal,
    permutation,
)
from audit.interventions.function_preserving.parts import (
    Replacements,
    attention,
    float64,
    norm,
)
from audit.models.anatomy import Block

Draw = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Heads:
    """The attention weights of a block by head, in float64 on the CPU.

    Attributes:
        weights: of queries, keys and values, (3, heads, head width, width).
        biases: likewise, (3, heads, head width).
        out: the output projection, (width, heads, head width).
        out_bias: its bias, (width,).
    """

    weights: Float[Tensor, "3 h e d"]
    biases: Float[Tensor, "3 h e"]
    out: Float[Tensor, "d h e"]
    out_bias: Float[Tensor, " d"]

    def replacements(self, block: Block) -> Replacements:
        """The weights as the block's parameters, by dotted name."""
        return {
            block.path_to(block.names.attention, "in_proj_weight"): self.weights.flatten(0, 2),
            block.path_to(block.names.attention, "in_proj_bias"): self.biases.flatten(),
            block.path_to(block.names.attention, "out_proj.weight"): self.out.flatten(1),
            block.path_to(block.names.attention, "out_proj.bias"): self.out_bias,
        }


def heads_of(block: Block) -> Heads:
    """Read the attention weights of a block."""
    attn, heads, width = attention(block), block.heads, block.width
    size = width // heads
    return Heads(
        float64(attn.in_proj_weight).reshape(3, heads, size, width),
        float64(attn.in_proj_bias).reshape(3, heads, size),
        float64(attn.out_proj.weight).reshape(width, heads, size),
        float64(attn.out_proj.bias),
    )


def shift_key_bias(block: Block, generator: torch.Generator) -> Replacements:
    """Add a vector of the keys' own size to the key bias.

    q . (k + c) = q . k + q . c: the same number for every key of a row, which the softmax drops.
    """
    heads = heads_of(block)
    shift = _size_of(heads, 1, block) * gaussian(*heads.biases.shape[1:], generator=generator)
    biases = heads.biases.clone()
    biases[1] += shift
    return replace(heads, biases=biases).replacements(block)


def shift_value_bias(block: Block, generator: torch.Generator) -> Replacements:
    """Add a vector c of the values' own size to the value bias and take W_O c off the output bias.

    Rows of the attention sum to 1, so every output moves by W_O c, which the bias takes back.
    """
    heads = heads_of(block)
    shift = _size_of(heads, 2, block) * gaussian(*heads.biases.shape[1:], generator=generator)
    biases = heads.biases.clone()
    biases[2] += shift
    out_bias = heads.out_bias - torch.einsum("dhe,he->d", heads.out, shift)
    return replace(heads, biases=biases, out_bias=out_bias).replacements(block)


def rotate_query_key(block: Block, generator: torch.Generator) -> Replacements:
    """Rotate queries and keys of each head by one orthogonal matrix: q . k stays."""
    return _mix_query_key(block, generator, orthogonal)


def mix_query_key(block: Block, generator: torch.Generator) -> Replacements:
    """Send q to A q and k to A^-T k in each head, A invertible of condition 10: q . k stays."""
    return _mix_query_key(block, generator, invertible)


def mix_value_output(block: Block, generator: torch.Generator) -> Replacements:
    """Send v to B v and W_O to W_O B^-1 in each head, B invertible of condition 10."""
    heads = heads_of(block)
    size = heads.out.shape[-1]
    b = torch.stack([invertible(size, generator) for _ in range(block.heads)])
    weights, biases = heads.weights.clone(), heads.biases.clone()
    weights[2], biases[2] = b @ weights[2], (b @ biases[2, ..., None])[..., 0]
    out = torch.einsum("dhe,hef->dhf", heads.out, torch.linalg.inv(b))
    return replace(heads, weights=weights, biases=biases, out=out).replacements(block)


def permute_heads(block: Block, generator: torch.Generator) -> Replacements:
    """Put the heads in another order.

    Raises:
        EditNotApplicableError: where the block has one head.
    """
    heads, order = heads_of(block), permutation(block.heads, generator)
    return Heads(
        heads.weights[:, order], heads.biases[:, order], heads.out[:, order], heads.out_bias
    ).replacements(block)


def _mix_query_key(block: Block, generator: torch.Generator, draw: Draw) -> Replacements:
    heads = heads_of(block)
    size = heads.out.shape[-1]
    a = torch.stack([draw(size, generator) for _ in range(block.heads)])
    weights, biases = heads.weights.clone(), heads.biases.clone()
    for part, matrix in ((0, a), (1, torch.linalg.inv(a).mT)):
        weights[part] = matrix @ weights[part]
        biases[part] = (matrix @ biases[part, ..., None])[..., 0]
    return replace(heads, weights=weights, biases=biases).replacements(block)


def _size_of(heads: Heads, part: int, block: Block) -> float:
    """Root mean square of keys (1) or values (2) of normalized tokens, from the weights alone."""
    layer = norm(block.module, block.names.attention_norm)
    weight, bias = heads.weights[part], heads.biases[part]
    variance = (weight * float64(layer.weight)).square().sum(-1)
    return float((variance + (weight @ float64(layer.bias) + bias).square()).mean().sqrt())
