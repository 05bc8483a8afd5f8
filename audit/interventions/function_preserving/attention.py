"""Edits of a block's attention that keep its function (the gauge symmetries of attention).

Writing q, k, v for a token's query, key and value in one head, the function depends on them only
through softmax(q . k) and W_O v; rows of the softmax sum to 1. Everything here follows from that.
Where queries and keys are normalized, turned by rotary positions, or the mixed values normalized,
only what commutes with it is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from audit.interventions.function_preserving.head_weights import Heads, heads_of
from audit.interventions.function_preserving.matrices import (
    gaussian,
    invertible,
    orthogonal,
    paired,
    permutation,
    stretches,
)
from audit.interventions.function_preserving.parts import (
    EditNotApplicableError,
    Replacements,
    acts,
    float64,
    norm,
    refuse,
)
from audit.models.anatomy import Block
from audit.models.block_names import found

Draw = Callable[[int, torch.Generator], Tensor]

_NORMALIZES = "normalizes after what the edit changes"


def shift_key_bias(block: Block, generator: torch.Generator) -> Replacements:
    """Add a vector of the keys' own size to the key bias.

    q . (k + c) = q . k + q . c: the same number for every key of a row, which the softmax drops.

    Raises:
        EditNotApplicableError: where keys are normalized, or turned from token to token, or have
            no bias.
    """
    refuse(block, block.names.key_norm, why=_NORMALIZES)
    if block.rotary is not None:
        raise EditNotApplicableError(f"rotary positions turn the key bias of '{block.path}'")
    heads = heads_of(block)
    shift = _size_of(heads, 1, block) * gaussian(*heads.biases.shape[1:], generator=generator)
    biases = heads.biases.clone()
    biases[1] += shift
    return replace(heads, biases=biases).replacements(block)


def shift_value_bias(block: Block, generator: torch.Generator) -> Replacements:
    """Add a vector c of the values' own size to the value bias and take W_O c off the output bias.

    Rows of the attention sum to 1, so every output moves by W_O c, which the bias takes back.

    Raises:
        EditNotApplicableError: where the mixed values are normalized, or one of the biases lacks.
    """
    refuse(block, block.names.inner_norm, why=_NORMALIZES)
    heads = heads_of(block)
    shift = _size_of(heads, 2, block) * gaussian(*heads.biases.shape[1:], generator=generator)
    biases = heads.biases.clone()
    biases[2] += shift
    out_bias = heads.out_bias - torch.einsum("dhe,he->d", heads.out, shift)
    return replace(heads, biases=biases, out_bias=out_bias).replacements(block)


def rotate_query_key(block: Block, generator: torch.Generator) -> Replacements:
    """Rotate queries and keys of each head by one orthogonal matrix: q . k stays.

    Under rotary positions each pair of channels is rotated, which commutes with them; behind norms
    of queries and keys the matrix is one of signs, in their gains and biases.
    """
    return _mix_query_key(block, generator, orthogonal, spread=0.0)


def mix_query_key(block: Block, generator: torch.Generator) -> Replacements:
    """Send q to A q and k to A^-T k in each head, A invertible of condition 10: q . k stays.

    Under rotary positions A rotates and stretches each pair of channels; behind norms of queries
    and keys it is diagonal, in their gains and biases.
    """
    return _mix_query_key(block, generator, invertible, spread=1.0)


def mix_value_output(block: Block, generator: torch.Generator) -> Replacements:
    """Send v to B v and W_O to W_O B^-1 in each head, B invertible of condition 10.

    Raises:
        EditNotApplicableError: where the mixed values are normalized.
    """
    refuse(block, block.names.inner_norm, why=_NORMALIZES)
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
        EditNotApplicableError: where the block has one head, or its heads differ in more than
            these weights.
    """
    refuse(block, block.names.inner_norm, why="has gains and biases of its own for every head")
    if block.rotary is not None and block.rotary.sin.ndim > 2:
        raise EditNotApplicableError(f"the heads of '{block.path}' have positions of their own")
    heads, order = heads_of(block), permutation(block.heads, generator)
    return Heads(
        heads.weights[:, order], heads.biases[:, order], heads.out[:, order], heads.out_bias
    ).replacements(block)


def _mix_query_key(
    block: Block, generator: torch.Generator, draw: Draw, *, spread: float
) -> Replacements:
    norms = [found(block.module, name) for name in (block.names.query_norm, block.names.key_norm)]
    if any(acts(layer) for layer in norms):
        return _mix_normed(block, generator, spread)
    heads, rotary = heads_of(block), block.rotary
    size = heads.weights.shape[-2]
    if rotary is not None:
        a = torch.stack(
            [paired(size, generator, half=rotary.half, spread=spread) for _ in range(block.heads)]
        )
    else:
        a = torch.stack([draw(size, generator) for _ in range(block.heads)])
    weights, biases = heads.weights.clone(), heads.biases.clone()
    for part, matrix in ((0, a), (1, torch.linalg.inv(a).mT)):
        weights[part] = matrix @ weights[part]
        biases[part] = (matrix @ biases[part, ..., None])[..., 0]
    return replace(heads, weights=weights, biases=biases).replacements(block)


def _mix_normed(block: Block, generator: torch.Generator, spread: float) -> Replacements:
    """A diagonal matrix into the norm of the queries, and its inverse into the norm of the keys."""
    rotary, names = block.rotary, (block.names.query_norm, block.names.key_norm)
    layers = [found(block.module, name) for name in names]
    if not all(isinstance(getattr(layer, "weight", None), nn.Parameter) for layer in layers):
        raise EditNotApplicableError(
            f"expected norms with gains of both queries and keys in '{block.path}'"
        )
    pairs = rotary is not None
    size = len(layers[0].weight) // (2 if pairs else 1)
    scale = stretches(size, generator, spread)
    if rotary is not None:
        scale = scale.repeat(2) if rotary.half else scale.repeat_interleave(2)
    written = {}
    for name, layer, factor in zip(names, layers, (scale, 1 / scale), strict=True):
        for part, held in layer.named_parameters():
            written[block.path_to(name, part)] = float64(held) * factor
    return written


def _size_of(heads: Heads, part: int, block: Block) -> float:
    """Root mean square of keys (1) or values (2) of normalized tokens, from the weights alone."""
    layer = norm(block.module, block.names.attention_norm)
    weight, bias = heads.weights[part], heads.biases[part]
    variance = (weight * float64(layer.weight)).square().sum(-1)
    return float((variance + (weight @ float64(layer.bias) + bias).square()).mean().sqrt())
