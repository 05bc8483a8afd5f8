"""Noisy linear imputation of removed pixels (ROAD), batched as one conjugate gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from audit.metrics.fills import Replacement

_STRIDE = 4  # steps between looks at what has converged
_CACHED = 250_000  # numbers per tensor that a processor's cache holds
_RIDGE = 1e-5  # keeps the coarse system positive where a picture is wholly removed


@dataclass(frozen=True)
class NoisyLinear:
    """ROAD's fill: each removed pixel is the weighted mean of its eight neighbors, plus noise.

    The means of all removed pixels are solved for together: direct neighbors weigh twice as much as
    diagonal ones, and neighbors outside the picture do not count.

    Attributes:
        noise: standard deviation of the Gaussian noise, in units of normalized pixels.
        tolerance: largest residual of the means, in the same units; the means themselves are then
            known to a tenth of the noise in the root of the mean square, to 0.6 at the worst pixel.
        most_steps: of the conjugate gradient.

    Source: Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods
    (ICML 2022), and their code, which solves one sparse system per picture and fraction.
    """

    noise: float = 0.01
    tolerance: float = 2e-4
    most_steps: int = 1000

    def prepare(
        self, images: Float[Tensor, "n 3 H W"], patch: float, generator: torch.Generator
    ) -> Replacement:
        """The replacement for these pictures, with its noise drawn once per pair."""
        where = generator.device
        drawn = torch.randn(images.shape, generator=generator, device=where, dtype=torch.float32)
        noise = self.noise * drawn.to(images)
        block = int(patch) if patch == int(patch) else 1

        def imputed(
            pictures: Float[Tensor, "m 3 H W"],
            removed: Bool[Tensor, "m H W"],
            pair: Int[Tensor, " m"],
        ) -> Float[Tensor, "m 3 H W"]:
            means = impute(pictures, removed, self.tolerance, self.most_steps, block)
            return torch.where(removed[:, None], means + noise[pair], pictures)

        return imputed


def impute(
    images: Float[Tensor, "m c H W"],
    removed: Bool[Tensor, "m H W"],
    tolerance: float = 2e-4,
    most_steps: int = 1000,
    block: int = 1,
) -> Float[Tensor, "m c H W"]:
    """Pictures whose removed pixels are the weighted means of their neighbors.

    Solves (D - W) x = 0 at the removed pixels, a symmetric positive definite system, by
    conjugate gradients from the mean of what remains; pictures that have converged leave the batch.
    The preconditioner is D and, where whole blocks of ``block`` pixels a side are removed, a coarse
    system with one unknown per block, which carries values across large holes in one step. A
    picture with nothing left becomes zero, the data's mean color.
    """
    size = max(1, _CACHED // images[0].numel()) if images.device.type == "cpu" else len(images)
    parts = zip(torch.split(images, size), torch.split(removed, size), strict=True)
    return torch.cat([_solve(x, gone, tolerance, most_steps, block) for x, gone in parts])


def _solve(
    images: Float[Tensor, "m c H W"],
    removed: Bool[Tensor, "m H W"],
    tolerance: float,
    most_steps: int,
    block: int,
) -> Float[Tensor, "m c H W"]:
    missing = removed[:, None].to(images.dtype)
    known = 1 - missing
    mean = (images * known).sum((2, 3), keepdim=True)
    start = mean / known.sum((2, 3), keepdim=True).clamp(min=1)
    x = torch.where(removed[:, None], start, images)
    weight = _neighbors(torch.ones_like(images[:1, :1])).reciprocal()
    residual = missing * (_neighbors(x) - x / weight)
    state = _State(x.clone(), residual, missing, *_coarse(missing, block))
    active = torch.arange(len(x), device=x.device)
    for _ in range(0, most_steps, _STRIDE):
        unsolved = (state.residual * weight).abs().amax((1, 2, 3)) > tolerance
        if not unsolved.all():
            x[active] = state.x
            active, state = active[unsolved], state.select(unsolved)
        if not len(active):
            return x
        for _ in range(_STRIDE):
            state.step(weight)
    x[active] = state.x
    return x


@dataclass
class _State:
    """Preconditioned conjugate gradients of a batch, advanced in place."""

    x: Float[Tensor, "m c H W"]
    residual: Float[Tensor, "m c H W"]
    missing: Float[Tensor, "m 1 H W"]
    whole: Float[Tensor, "m 1 h w"] | None  # blocks that are wholly removed
    inverse: Float[Tensor, "m p p"] | None  # of the coarse system
    direction: Float[Tensor, "m c H W"] | None = None
    strength: Float[Tensor, "m c 1 1"] | None = None

    def select(self, kept: Bool[Tensor, " m"]) -> _State:
        chosen: dict[str, Any] = {k: None if v is None else v[kept] for k, v in vars(self).items()}
        return replace(self, **chosen)

    def step(self, weight: Float[Tensor, "1 1 H W"]) -> None:
        z = self._precondition(weight)
        strength = _inner(self.residual, z)
        if self.direction is None or self.strength is None:
            self.direction = z
        else:
            self.direction.mul_(_ratio(strength, self.strength)).add_(z)
        self.strength = strength
        applied = (self.direction / weight).sub_(_neighbors(self.direction)).mul_(self.missing)
        size = _ratio(strength, _inner(self.direction, applied))
        self.x.addcmul_(size, self.direction)
        self.residual.addcmul_(size, applied, value=-1)

    def _precondition(self, weight: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "m c H W"]:
        z = self.residual * weight
        if self.whole is None or self.inverse is None:
            return z
        block = z.shape[-1] // self.whole.shape[-1]
        sums = _sums(self.residual, block) * self.whole
        values = (sums.flatten(2) @ self.inverse).view_as(sums) * self.whole
        rows = z.unflatten(2, (-1, block))
        rows += values.repeat_interleave(block, 3)[:, :, :, None]
        return z


def _coarse(
    missing: Float[Tensor, "m 1 H W"], block: int
) -> tuple[Float[Tensor, "m 1 h w"] | None, Float[Tensor, "m p p"] | None]:
    """Blocks wholly removed, and the inverse of the system with one unknown for each of them."""
    height, width = missing.shape[-2:]
    if block == 1 or height % block or width % block:
        return None, None
    whole = (functional.avg_pool2d(missing, block) > 1 - 1e-6).to(missing.dtype)
    full = _between_blocks(whole.shape[-2], whole.shape[-1], block).to(missing)
    chosen = whole.flatten(1)
    systems = chosen[:, :, None] * chosen[:, None] * full + torch.diag_embed(1 - chosen)
    return whole, torch.cholesky_inverse(torch.linalg.cholesky(systems))


@lru_cache(maxsize=8)
def _between_blocks(rows: int, columns: int, block: int) -> Float[Tensor, "p p"]:
    """The coarse system of a picture with every block removed, which no mask or picture changes."""
    count = rows * columns
    full = torch.empty(count, count, dtype=torch.float64)
    weight = _neighbors(torch.ones(1, 1, rows * block, columns * block, dtype=full.dtype))
    for i in range(count):
        unit = torch.zeros(1, 1, rows, columns, dtype=full.dtype)
        unit.view(-1)[i] = 1
        fine = _spread(unit, block)
        applied = fine * weight - _neighbors(fine)
        full[i] = _sums(applied, block).flatten()
    return full + _RIDGE * full.diagonal().mean() * torch.eye(count, dtype=full.dtype)


def _sums(x: Float[Tensor, "m c H W"], block: int) -> Float[Tensor, "m c h w"]:
    tiles: Tensor = x.unflatten(2, (-1, block)).sum(3).unflatten(3, (-1, block))
    return tiles.sum(4)


def _spread(blocks: Float[Tensor, "m c h w"], block: int) -> Float[Tensor, "m c H W"]:
    return blocks.repeat_interleave(block, 2).repeat_interleave(block, 3)


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
