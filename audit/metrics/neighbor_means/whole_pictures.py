"""The system of removed pixels, on whole pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class RemovedPixels:
    """Single pixels, on whole pictures: each unknown is scaled by the root of its own weight.

    Attributes:
        images: with anything in the removed pixels.
        removed: which pixels.
        scale: the inverse root of the summed weights of a removed pixel's neighbors, else 0.
    """

    energy: ClassVar[float] = 0.05
    images: Float[Tensor, "m c H W"]
    removed: Bool[Tensor, "m 1 H W"]
    scale: Float[Tensor, "m 1 H W"]

    @classmethod
    def of(cls, images: Float[Tensor, "m c H W"], removed: Bool[Tensor, "m H W"]) -> RemovedPixels:
        """The system of these pictures."""
        scale = neighbor_sums(torch.ones_like(images[:1, :1])).rsqrt()
        return cls(images, removed[:, None], scale * removed[:, None])

    def right(self) -> Float[Tensor, "m c H W"]:
        """What the known pixels contribute to their neighbors."""
        return neighbor_sums(self.images * ~self.removed).mul_(self.scale)

    def around(self, x: Float[Tensor, "m c H W"]) -> Float[Tensor, "m c H W"]:
        """What removed pixels contribute to each other."""
        return neighbor_sums(x * self.scale).mul_(self.scale)

    def precondition(self, residual: Float[Tensor, "m c H W"]) -> Float[Tensor, "m c H W"]:
        """The residual itself: pixels are scaled already."""
        return residual

    def sums(
        self, a: Float[Tensor, "m c H W"], b: Float[Tensor, "m c H W"]
    ) -> Float[Tensor, "m c"]:
        """Inner products, by picture and channel."""
        product: Tensor = torch.linalg.vecdot(a.flatten(2), b.flatten(2))
        return product

    def spread(self, values: Float[Tensor, "m c"]) -> Float[Tensor, "m c 1 1"]:
        """One number for each picture and channel."""
        return values[..., None, None]

    def unknowns(self) -> Int[Tensor, " m"]:
        """How many pixels are removed, by picture."""
        return self.removed.sum((1, 2, 3))

    def pictures(self, x: Float[Tensor, "m c H W"]) -> Float[Tensor, "m c H W"]:
        """The pictures with their removed pixels filled in."""
        return torch.where(self.removed, x * self.scale, self.images)


def neighbor_sums(x: Float[Tensor, "m c H W"]) -> Float[Tensor, "m c H W"]:
    """Sum over the eight neighbors, direct ones 1/6 and diagonal ones 1/12; nothing outside.

    The kernel [1 2 1]ᵀ[1 2 1]/12 less its center, 4/12, as two passes of three taps.
    """
    padded = functional.pad(x, (1, 1, 1, 1))
    rows = (padded[..., :-2] + padded[..., 2:]).add_(padded[..., 1:-1], alpha=2)
    both = (rows[:, :, :-2] + rows[:, :, 2:]).add_(rows[:, :, 1:-1], alpha=2)
    return both.add_(x, alpha=-4).div_(12)
