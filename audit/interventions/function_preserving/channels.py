"""Edits of the channels around the attention: MLP neurons and the norms inside a block."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.interventions.function_preserving.head_weights import has_biases, heads_of
from audit.interventions.function_preserving.matrices import gaussian, permutation
from audit.interventions.function_preserving.parts import (
    EditNotApplicableError,
    Replacements,
    float64,
    mlp_layers,
    norm,
)
from audit.models.anatomy import Block

TRIVIAL = 1e-6
UNFOLDED_SPREAD = 0.5
NEGLIGIBLE = 1e-3


def permute_neurons(block: Block, generator: torch.Generator) -> Replacements:
    """Put the hidden neurons of the block's MLP in another order.

    Raises:
        EditNotApplicableError: where the MLP is not two linear layers around an activation.
    """
    names, (first, last) = block.names, mlp_layers(block)
    mlp, own = block.part(names.mlp), {*first.parameters(), *last.parameters()}
    if first.out_features != last.in_features or {*mlp.parameters()} != own:
        raise EditNotApplicableError(
            f"expected one activation between two linear layers in '{block.path_to(names.mlp)}', "
            f"got {', '.join(name for name, _ in mlp.named_children())}"
        )
    order = permutation(first.out_features, generator)
    return {
        block.path_to(names.mlp_first, "weight"): float64(first.weight)[order],
        block.path_to(names.mlp_first, "bias"): float64(first.bias)[order],
        block.path_to(names.mlp_last, "weight"): float64(last.weight)[:, order],
    }


def fold_attention_norm(block: Block, generator: torch.Generator) -> Replacements:
    """Move gain and bias of the block's first norm into the query, key and value projections.

    Where one of these has no bias, the norm's own is divided by its gain instead.

    Raises:
        EditNotApplicableError: where the norm has no gain or no bias.
    """
    heads, names = heads_of(block), block.names
    layer = norm(block.module, names.attention_norm)
    weight, bias = heads.weights.flatten(0, 2), heads.biases.flatten()
    if has_biases(block):
        gain, shift, weight, bias = fold(layer, weight, bias, generator)
    else:
        gain, shift, scale = fold_gain(layer, generator)
        weight = weight * scale
    return {
        block.path_to(names.attention_norm, "weight"): gain,
        block.path_to(names.attention_norm, "bias"): shift,
        **replace(
            heads, weights=weight.view_as(heads.weights), biases=bias.view_as(heads.biases)
        ).replacements(block),
    }


def fold_mlp_norm(block: Block, generator: torch.Generator) -> Replacements:
    """Move gain and bias of the block's second norm into the first layer of its MLP."""
    names, (first, _) = block.names, mlp_layers(block)
    weight, bias = float64(first.weight), float64(first.bias)
    layer = norm(block.module, names.mlp_norm)
    gain, shift, weight, bias = fold(layer, weight, bias, generator)
    return {
        block.path_to(names.mlp_norm, "weight"): gain,
        block.path_to(names.mlp_norm, "bias"): shift,
        block.path_to(names.mlp_first, "weight"): weight,
        block.path_to(names.mlp_first, "bias"): bias,
    }


def fold(
    layer: nn.LayerNorm,
    weight: Float[Tensor, "out d"],
    bias: Float[Tensor, " out"],
    generator: torch.Generator,
) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"], Float[Tensor, "out d"], Float[Tensor, " out"]]:
    """Gain and shift of a norm, and weight and bias of the layer after it, refactored.

    Gain g and shift s go into the layer, W (g n + s) + b = (W diag g) n + (b + W s), and leave a
    gain of 1 and a shift of 0; a norm that is already trivial is given random ones at the layer's
    expense, so that the edit is never empty.
    """
    gain, shift = float64(layer.weight), float64(layer.bias)
    new_gain, new_shift = torch.ones_like(gain), torch.zeros_like(shift)
    if is_trivial(layer):
        new_gain = (UNFOLDED_SPREAD * gaussian(len(gain), generator=generator)).exp()
        new_shift = UNFOLDED_SPREAD * gaussian(len(gain), generator=generator)
    scale = gain / new_gain
    return new_gain, new_shift, weight * scale, bias + weight @ (shift - scale * new_shift)


def fold_gain(
    layer: nn.LayerNorm, generator: torch.Generator
) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Gain and shift of a norm, and what multiplies the input channels of the layer after it.

    That layer P has no bias to take the shift s, so the shift is divided by the gain g instead:
    (g n + s) P = (n + s / g) (diag g) P. Channels of negligible gain stay as they are. A norm that
    is already trivial is given a random gain at the layer's expense.
    """
    gain, shift = float64(layer.weight), float64(layer.bias)
    new_gain = torch.where(gain.abs() > NEGLIGIBLE * gain.square().mean().sqrt(), 1.0, gain)
    if is_trivial(layer):
        new_gain = (UNFOLDED_SPREAD * gaussian(len(gain), generator=generator)).exp()
    scale = torch.where(new_gain == gain, 1.0, gain / new_gain)
    return new_gain, shift / scale, scale


def is_trivial(layer: nn.LayerNorm) -> bool:
    """Whether the norm's gain is 1 and its shift 0, so that there is nothing to fold."""
    gain, shift = float64(layer.weight), float64(layer.bias)
    return float((gain - 1).abs().max()) < TRIVIAL and float(shift.abs().max()) < TRIVIAL
