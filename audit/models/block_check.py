"""Whether a block is what its view says: the block rebuilt from its parts, against its own output.

Nothing may hide in a part that happens to be small: scales of the branches, and every parameter
that the view does not know, are drawn anew for the comparison, on a copy of the block.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.models.transformer_block import Block, Mask

KNOWN = 1e-6
"""Largest relative error in float32 of a block whose inside is known."""

_SEED = 0


def is_close(made: Tensor, own: Tensor) -> bool:
    """Whether values are those of a model, to a relative L2 error of `KNOWN`.

    That is in float32; coarser numbers are allowed as many more of their roundings.
    """
    return made.shape == own.shape and relative_error(made, own) <= largest_error(own.dtype)


def relative_error(made: Float[Tensor, "*shape"], own: Float[Tensor, "*shape"]) -> float:
    """L2 norm of the difference over that of what a model gives; infinite where it is not finite.

    Zeros are approached by nothing but zeros.
    """
    norm = own.double().norm().clamp(min=torch.finfo(torch.float64).tiny)
    error = float((made - own).double().norm() / norm)
    return error if math.isfinite(error) else math.inf


def largest_error(dtype: torch.dtype) -> float:
    """What `KNOWN` is in numbers of another precision."""
    return KNOWN * max(1.0, torch.finfo(dtype).eps / torch.finfo(torch.float32).eps)


def rebuilt(
    block: Block, x: Float[Tensor, "b t d"], mask: Mask | None = None
) -> Float[Tensor, "b t d"]:
    """The output of a block by its view: norm, q, k, v, attention, values, projection, MLP."""
    q, k, v = block.qkv(block.normalize(x))
    return block.finish(x, block.project(block.mix_values(block.attention(q, k, mask), v)))


@torch.no_grad()
def checked(block: Block, x: Float[Tensor, "b *t d"], mask: Mask | None = None) -> float:
    """Relative L2 error between the block rebuilt by its view and the block's own output.

    The comparison runs on a copy on the CPU in float32, or in float64 where the block is in it, so
    that neither the kernels of a device nor its reduced precision enter.

    Args:
        block: the view, of a block in eval mode.
        x: what enters it; tokens, (batch, tokens, width), where the view is right.
        mask: attention mask that it is given.

    Returns:
        The error, at most `KNOWN` where the view is right; infinite where x is no such tokens, the
        parts do not fit
        together, the block does not run in that precision, or its output is not finite.
    """
    if x.ndim != 3:
        return math.inf
    seen = exposed(block)
    dtype = next(seen.module.parameters()).dtype
    x, mask = _as(x, dtype), _as(mask, dtype)
    with torch.autocast("cpu", enabled=False):
        try:
            own = seen.run(x, mask)
            return relative_error(rebuilt(seen, x, mask), own)
        except RuntimeError:  # shapes that do not go together, or kernels of half precision alone
            return math.inf


def exposed(block: Block) -> Block:
    """A copy of the block in which no part is hidden, on the CPU in float32 or float64.

    Scales of the branches and parameters that the view has no name for are drawn from U(.5, 1.5).
    """
    names, qkv = block.names, block.qkv_names
    norms = (names.attention_norm, names.query_norm, names.key_norm, names.inner_norm)
    layers = (*norms, names.projection, names.mlp_norm, names.mlp)
    known = (*qkv.weights, *qkv.biases, *(f"{layer}." for layer in layers if layer))
    module = copy.deepcopy(block.module)
    dtype = torch.float64 if _is_double(module) else torch.float32
    module = module.to("cpu", dtype)
    generator = torch.Generator().manual_seed(_SEED)
    for name, parameter in module.named_parameters():
        if not name.startswith(known) and parameter.is_floating_point():
            drawn = torch.rand(parameter.shape, generator=generator, dtype=dtype) + 0.5
            parameter.data.copy_(drawn)
    return replace(block, module=module, extra=_as(block.extra, dtype))


def _is_double(module: nn.Module) -> bool:
    return all(p.dtype == torch.float64 for p in module.parameters() if p.is_floating_point())


def _as(value: Any, dtype: torch.dtype) -> Any:
    """A value with every tensor in it on the CPU, and in this dtype where it is floating."""
    if isinstance(value, Tensor):
        return value.to("cpu", dtype if value.is_floating_point() else value.dtype)
    if isinstance(value, Mapping):
        return {name: _as(one, dtype) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_as(one, dtype) for one in value)
    return value
