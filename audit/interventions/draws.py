"""Random draws that are the same bytes on every device: drawn and combined on the CPU."""

from __future__ import annotations

import hashlib
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

CONSTANT_SPREAD = 0.1
ZERO_SPREAD = 0.02


def generator_for(*parts: object) -> torch.Generator:
    """A CPU generator seeded by everything that should make a difference.

    Args:
        *parts: values with a stable ``repr``: strings, numbers, tuples of them.
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def noisy(
    tensor: Float[Tensor, "*shape"], strength: float, generator: torch.Generator
) -> Float[Tensor, "*shape"]:
    """A tensor plus Gaussian noise of ``strength`` times its own standard deviation, on the CPU."""
    values = tensor.detach().cpu()
    _, spread = _moments(values)
    return values + strength * spread * _gaussian(values, generator)


def redrawn(tensor: Float[Tensor, "*shape"], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """A Gaussian tensor of the same mean and standard deviation, on the CPU.

    A constant tensor (a fresh LayerNorm, a zero bias, a single number) has no spread to match and
    would stay as it is: it is given a tenth of its own size, or 0.02 where it is zero. A buffer of
    numbers of which none is negative, such as the variances of a batch norm, keeps its sign: it is
    drawn from the log-normal distribution of the same mean and standard deviation.
    """
    values = tensor.detach().cpu()
    mean, spread = _moments(values)
    if spread <= 1e-6 * abs(mean):
        spread = CONSTANT_SPREAD * abs(mean) or ZERO_SPREAD
    drawn = _gaussian(values, generator)
    if isinstance(tensor, nn.Parameter) or mean <= 0 or bool((values < 0).any()):
        return mean + spread * drawn
    variance = math.log1p((spread / mean) ** 2)
    return mean * torch.exp(math.sqrt(variance) * drawn.double() - variance / 2).to(values.dtype)


def _gaussian(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like.dtype)


def _moments(values: Tensor) -> tuple[float, float]:
    values = values.double()
    return float(values.mean()), float(values.std(correction=0))
