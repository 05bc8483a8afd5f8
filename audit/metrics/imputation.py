"""Noisy linear imputation of removed pixels (ROAD), batched as one conjugate gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from audit.metrics.fills import Replacement


@dataclass(frozen=True)
class NoisyLinear:
    """ROAD's fill: each removed pixel is the weighted mean of its eight neighbors, plus noise.

    The means of all removed pixels are solved for together: direct neighbors weigh twice as much as
    diagonal ones, and neighbors outside the picture do not count.

    Attributes:
        noise: standard deviation of the Gaussian noise, in units of normalized pixels.
        tolerance: largest residual of the means, in the same units, well below the noise.
        most_steps: of the conjugate gradient.

    Source: Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods
    (ICML 2022), and their code, which solves one sparse system per picture and fraction.
    """

    noise: float = 0.01
    tolerance: float = 1e-3
    most_steps: int = 500

    def prepare(
        self, images: Float[Tensor, "n 3 H W"], patch: float, generator: torch.Generator
    ) -> Replacement:
        """The replacement for these pictures, with its noise drawn once per pair."""
        del patch
        where = generator.device
        drawn = torch.randn(images.shape, generator=generator, device=where, dtype=torch.float32)
        noise = self.noise * drawn.to(images)

        def replace(
            pictures: Float[Tensor, "m 3 H W"],
            removed: Bool[Tensor, "m H W"],
            pair: Int[Tensor, " m"],
        ) -> Float[Tensor, "m 3 H W"]:
            means = impute(pictures, removed, self.tolerance, self.most_steps)
            return torch.where(removed[:, None], means + noise[pair], pictures)

        return replace


def impute(
    images: Float[Tensor, "m c H W"],
    removed: Bool[Tensor, "m H W"],
    tolerance: float = 1e-3,
    most_steps: int = 500,
) -> Float[Tensor, "m c H W"]:
    """Pictures whose removed pixels are the weighted means of their neighbors.

    Solves (D - W) x = 0 at the removed pixels, a symmetric positive definite system, by
    preconditioned conjugate gradients from the mean of what remains. A picture with nothing left
    becomes zero, the mean color of the data.
    """
    missing = removed[:, None].to(images.dtype)
    known = 1 - missing
    mean = (images * known).sum((2, 3), keepdim=True)
    start = mean / known.sum((2, 3), keepdim=True).clamp(min=1)
    x = torch.where(removed[:, None], start, images)
    degree = _neighbors(torch.ones_like(images[:1, :1]))
    residual = missing * (_neighbors(x) - degree * x)
    direction = z = residual / degree
    strength = (residual * z).sum((2, 3), keepdim=True)
    for _ in range(most_steps):
        if not (z.abs().amax() > tolerance):
            break
        applied = missing * (degree * direction - _neighbors(direction))
        step = _ratio(strength, (direction * applied).sum((2, 3), keepdim=True))
        x, residual = x + step * direction, residual - step * applied
        z = residual / degree
        previous, strength = strength, (residual * z).sum((2, 3), keepdim=True)
        direction = z + _ratio(strength, previous) * direction
    return x


def _neighbors(x: Float[Tensor, "m c H W"]) -> Float[Tensor, "m c H W"]:
    """Sum over the eight neighbors, direct ones 1/6 and diagonal ones 1/12; nothing outside.

    The kernel [1 2 1]ᵀ[1 2 1]/12 less its center, 4/12, as two passes of three taps.
    """
    rows = functional.pad(x, (0, 0, 1, 1))
    rows = rows[:, :, :-2] + 2 * x + rows[:, :, 2:]
    both = functional.pad(rows, (1, 1))
    return (both[..., :-2] + 2 * rows + both[..., 2:] - 4 * x) / 12


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, 0.0)
