"""The attention weights of a block by head, whichever parameters hold them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.interventions.function_preserving.parts import (
    EditNotApplicableError,
    Replacements,
    float64,
    float64_or_zeros,
)
from audit.models.anatomy import Block
from audit.models.block_names import found


@dataclass(frozen=True)
class Heads:
    """The attention weights of a block by head, in float64 on the CPU.

    Attributes:
        weights: of queries, keys and values, (3, heads, head width, width).
        biases: likewise, (3, heads, head width), zero where the block has none.
        out: the output projection, (width, heads, head width).
        out_bias: its bias, (width,), zero where it has none.
    """

    weights: Float[Tensor, "3 h e d"]
    biases: Float[Tensor, "3 h e"]
    out: Float[Tensor, "d h e"]
    out_bias: Float[Tensor, " d"]

    def replacements(self, block: Block) -> Replacements:
        """The weights as the block's parameters, by dotted name.

        Raises:
            EditNotApplicableError: a bias that the block has no parameter for is not zero.
        """
        names, weights, biases = block.qkv_names, self.weights.flatten(1, 2), self.biases.flatten(1)
        values = {
            **_shared(names.weights, weights),
            **_shared(names.biases, biases),
            f"{block.names.projection}.weight": self.out.flatten(1),
            f"{block.names.projection}.bias": self.out_bias,
        }
        written = {}
        for name, value in values.items():
            held = found(block.module, name)
            if isinstance(held, nn.Parameter):
                written[block.path_to(name)] = value
            elif not torch.equal(value, float64_or_zeros(held, len(value))):
                raise EditNotApplicableError(f"expected a parameter '{block.path_to(name)}'")
        return written


def heads_of(block: Block) -> Heads:
    """Read the attention weights of a block."""
    names, module, heads = block.qkv_names, block.module, block.heads
    out = block.part(block.names.projection)
    weights = torch.cat([float64(found(module, name)) for name in names.weights])
    size = len(weights) // len(names.biases)
    biases = torch.cat([float64_or_zeros(found(module, name), size) for name in names.biases])
    return Heads(
        weights.unflatten(0, (3, heads, -1)),
        biases.unflatten(0, (3, heads, -1)),
        float64(out.weight).unflatten(1, (heads, -1)),
        float64_or_zeros(out.bias, block.width),
    )


def has_biases(block: Block) -> bool:
    """Whether the block has a bias to change for each of queries, keys and values."""
    biases = (found(block.module, name) for name in block.qkv_names.biases)
    return all(isinstance(bias, nn.Parameter) for bias in biases)


def _shared(names: tuple[str, ...], values: Tensor) -> dict[str, Tensor]:
    """Values of queries, keys and values under three names, or packed under one."""
    if len(names) == 1:
        return {names[0]: values.flatten(0, 1)}
    return dict(zip(names, values, strict=True))
