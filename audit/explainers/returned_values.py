"""What an explainer may return in the place of a tensor, and what is said of anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class OddValueError(TypeError):
    """A value that is no dense array of real numbers; the message says what it is."""


def real_tensor(given: Any) -> Tensor:
    """A plain tensor of real numbers with memory of its own, out of a tensor or numpy array.

    Raises:
        OddValueError: anything else.
    """
    if isinstance(given, np.ndarray):
        return _of_numpy(given)
    if not isinstance(given, Tensor):
        sequence = isinstance(given, (list, tuple))
        raise OddValueError(
            type(given).__name__
            + (" (torch.stack or torch.tensor makes a tensor of it)" if sequence else "")
        )
    if given.is_nested or given.layout is not torch.strided or given.is_quantized:
        kind = "nested" if given.is_nested else "quantized" if given.is_quantized else "sparse"
        raise OddValueError(f"a {kind} tensor (make it dense)")
    if given.device.type == "meta" and type(given) is Tensor:  # a subclass may hold some elsewhere
        raise OddValueError("a tensor on the device 'meta', which holds no numbers")
    if given.is_complex() or given.dtype is torch.bool:
        raise OddValueError(_no_reals(complex_=given.is_complex()))
    own = given.detach().clone()
    return own if type(own) is Tensor else own.as_subclass(Tensor)


def _of_numpy(given: np.ndarray) -> Tensor:
    if given.dtype.kind not in "fiu":
        if given.dtype.kind in "cb":
            raise OddValueError(_no_reals(complex_=given.dtype.kind == "c"))
        raise OddValueError(f"a numpy array of {given.dtype}")
    wide = given.dtype.itemsize > 4
    return torch.from_numpy(np.array(given, dtype=np.float64 if wide else np.float32))


def _no_reals(*, complex_: bool) -> str:
    if complex_:
        return "complex numbers (take their absolute value or real part)"
    return "truth values (return the relevance itself, before it is cut off)"
