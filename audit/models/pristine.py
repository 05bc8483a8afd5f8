"""The untouched copy of a model, and whether tensors still hold its values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from audit.models.unwrapped_values import plain


def pristine_copy(model: nn.Module) -> nn.Module:
    """A deep copy in eval mode without gradients."""
    return copy.deepcopy(model).eval().requires_grad_(requires_grad=False)


def pristine_copy_in(
    model: nn.Module, dtype: torch.dtype, only: Callable[[str], bool] = lambda _path: True
) -> nn.Module:
    """The same in another floating-point dtype, without a full copy in its own before.

    Args:
        model: to copy.
        dtype: of the copy.
        only: whether a parameter, by its dotted name, is needed; the copy shares the others with
            the model, as they are.
    """

    def cast(t: Tensor) -> Tensor:
        return t.detach().to(dtype) if t.is_floating_point() else t.detach().clone()

    memo: dict[int, Any] = {id(b): cast(b) for b in model.buffers()}
    for path, p in model.named_parameters():
        memo[id(p)] = nn.Parameter(cast(p), requires_grad=False) if only(path) else p
    return copy.deepcopy(model, memo).eval()


def same_values(one: Tensor, other: Tensor) -> bool:
    """Bit-identical values, shape and type; ``one`` may be wrapped by a transform."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(plain(one), other)
