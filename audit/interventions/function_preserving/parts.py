"""The parts of a model that an edit needs, or a plain word that the model has no such part."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.models.anatomy import Block
from audit.models.block_names import found

Replacements = Mapping[str, Tensor]


class EditNotApplicableError(ValueError):
    """The model lacks what the edit changes; the message names it."""


def linear(module: nn.Module, path: str) -> nn.Linear:
    """A linear layer with a bias inside a module.

    Raises:
        EditNotApplicableError: where there is none of that name.
    """
    layer = found(module, path)
    if not isinstance(layer, nn.Linear) or layer.bias is None:
        raise EditNotApplicableError(
            f"expected a linear layer with bias at '{path}' of {type(module).__name__}, got "
            f"{type(layer).__name__}"
        )
    return layer


def norm(module: nn.Module, path: str) -> nn.LayerNorm:
    """A LayerNorm with gain and bias inside a module.

    Raises:
        EditNotApplicableError: where there is none of that name.
    """
    layer = found(module, path)
    if not isinstance(layer, nn.LayerNorm) or layer.weight is None or layer.bias is None:
        raise EditNotApplicableError(
            f"expected a LayerNorm with gain and bias at '{path}' of {type(module).__name__}, got "
            f"{type(layer).__name__}"
        )
    return layer


def mlp_layers(block: Block) -> tuple[nn.Linear, nn.Linear]:
    """The first and the last linear layer of the block's MLP, which has no other.

    Raises:
        EditNotApplicableError: where the MLP is built otherwise.
    """
    names, mlp = block.names, block.part(block.names.mlp)
    first, last = linear(block.module, names.mlp_first), linear(block.module, names.mlp_last)
    layers = [layer for layer in mlp.modules() if isinstance(layer, nn.Linear)]
    if layers != [first, last]:
        raise EditNotApplicableError(
            f"expected two linear layers in '{block.path_to(names.mlp)}', got {len(layers)}"
        )
    return first, last


def acts(layer: object) -> bool:
    """Whether an optional part of a block does anything."""
    return layer is not None and not isinstance(layer, nn.Identity)


def refuse(block: Block, *names: str, why: str) -> None:
    """Refuse an edit that does not commute with one of the block's optional parts.

    Raises:
        EditNotApplicableError: where the block has one of that name.
    """
    for name in names:
        if acts(found(block.module, name)):
            raise EditNotApplicableError(f"'{block.path_to(name)}' {why}")


def float64(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values in float64 on the CPU, in which edits are computed."""
    return tensor.detach().cpu().double()


def float64_or_zeros(tensor: Tensor | None, size: int) -> Float[Tensor, " n"]:
    """The values of a vector in float64 on the CPU, zeros where there is none."""
    return torch.zeros(size, dtype=torch.float64) if tensor is None else float64(tensor)
