"""The parts of a model that an edit needs, or a plain word that the model has no such part."""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from audit.models.anatomy import Block

Replacements = Mapping[str, Tensor]


class EditNotApplicableError(ValueError):
    """The model lacks what the edit changes; the message names it."""


def linear(module: nn.Module, path: str) -> nn.Linear:
    """A linear layer with a bias inside a module.

    Raises:
        EditNotApplicableError: where there is none of that name.
    """
    found = _part(module, path)
    if not isinstance(found, nn.Linear) or found.bias is None:
        raise EditNotApplicableError(
            f"expected a linear layer with bias at '{path}' of {type(module).__name__}, got "
            f"{type(found).__name__}"
        )
    return found


def norm(module: nn.Module, path: str) -> nn.LayerNorm:
    """A LayerNorm with gain and bias inside a module.

    Raises:
        EditNotApplicableError: where there is none of that name.
    """
    found = _part(module, path)
    if not isinstance(found, nn.LayerNorm) or found.weight is None or found.bias is None:
        raise EditNotApplicableError(
            f"expected a LayerNorm with gain and bias at '{path}' of {type(module).__name__}, got "
            f"{type(found).__name__}"
        )
    return found


def attention(block: Block) -> nn.MultiheadAttention:
    """The block's attention, with its projections packed and biased.

    Raises:
        EditNotApplicableError: where it is built otherwise.
    """
    attn = block.attention_module
    if (
        not isinstance(attn, nn.MultiheadAttention)
        or attn.in_proj_weight is None
        or attn.in_proj_bias is None
        or attn.bias_k is not None
    ):
        path = block.path_to(block.names.attention)
        raise EditNotApplicableError(
            f"expected packed and biased query, key and value projections in '{path}'"
        )
    return attn


def float64(tensor: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values in float64 on the CPU, in which edits are computed."""
    return tensor.detach().cpu().double()


def _part(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:
        return None
