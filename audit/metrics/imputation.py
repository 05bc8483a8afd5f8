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

_STRIDE = 8  # steps between looks at what has converged


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
    tolerance: float = 1e-4
    most_steps: int = 1000

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
    tolerance: float = 1e-4,
    most_steps: int = 1000,
) -> Float[Tensor, "m c H W"]:
    """Pictures whose removed pixels are the weighted means of their neighbors.

    Solves (D - W) x = 0 at the removed pixels, a symmetric positive definite system, by
    conjugate gradients preconditioned with D, from the mean of what remains; pictures that have
    converged leave the batch. A picture with nothing left becomes zero, the data's mean color.
    """
    missing = removed[:, None].to(images.dtype)
    known = 1 - missing
    mean = (images * known).sum((2, 3), keepdim=True)
    start = mean / known.sum((2, 3), keepdim=True).clamp(min=1)
    x = torch.where(removed[:, None], start, images)
    degree = _neighbors(torch.ones_like(images[:1, :1]))
    residual = missing * (_neighbors(x) - degree * x)
    state = _State(x.clone(), residual, residual / degree, missing)
    active = torch.arange(len(x), device=x.device)
    for _ in range(0, most_steps, _STRIDE):
        open_ = (state.residual / degree).abs().amax((1, 2, 3)) > tolerance
        if not open_.all():
            x[active] = state.x
            active, state = active[open_], state.select(open_)
        if not len(active):
            return x
        for _ in range(_STRIDE):
            state.step(degree)
    x[active] = state.x
    return x


@dataclass
class _State:
    """Conjugate gradients of a batch, advanced in place; all shaped (m, c, H, W)."""

    x: Tensor
    residual: Tensor
    direction: Tensor
    missing: Tensor

    def select(self, kept: Bool[Tensor, " m"]) -> _State:
        fields = (self.x, self.residual, self.direction, self.missing)
        return _State(*(field[kept] for field in fields))

    def step(self, degree: Tensor) -> None:
        before = _inner(self.residual, self.residual / degree)
        applied = (degree * self.direction).sub_(_neighbors(self.direction)).mul_(self.missing)
        size = _ratio(before, _inner(self.direction, applied))
        self.x.addcmul_(size, self.direction)
        self.residual.addcmul_(size, applied, value=-1)
        z = self.residual / degree
        self.direction.mul_(_ratio(_inner(self.residual, z), before)).add_(z)


def _neighbors(x: Float[Tensor, "m c H W"]) -> Float[Tensor, "m c H W"]:
    """Sum over the eight neighbors, direct ones 1/6 and diagonal ones 1/12; nothing outside.

    The kernel [1 2 1]ᵀ[1 2 1]/12 less its center, 4/12, as two passes of three taps.
    """
    padded = functional.pad(x, (1, 1, 1, 1))
    rows = (padded[..., :-2] + padded[..., 2:]).add_(padded[..., 1:-1], alpha=2)
    both = (rows[:, :, :-2] + rows[:, :, 2:]).add_(rows[:, :, 1:-1], alpha=2)
    return both.add_(x, alpha=-4).div_(12)


def _inner(a: Tensor, b: Tensor) -> Float[Tensor, "m c 1 1"]:
    product: Tensor = torch.linalg.vecdot(a.flatten(2), b.flatten(2))
    return product[..., None, None]


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, 0.0)
