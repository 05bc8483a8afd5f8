"""The untouched copy of a model, and whether tensors still hold its values."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from audit.models.unwrapped_values import plain


def pristine_copy(model: nn.Module) -> nn.Module:
    """A deep copy in eval mode without gradients."""
    return copy.deepcopy(model).eval().requires_grad_(requires_grad=False)


def same_values(one: Tensor, other: Tensor) -> bool:
    """Bit-identical values, shape and type; ``one`` may be wrapped by a transform."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(plain(one), other)
