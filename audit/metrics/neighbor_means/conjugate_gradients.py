"""Conjugate gradients for the weighted means of neighbors, whatever the unknowns are."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


@runtime_checkable
class NeighborMeans(Protocol):
    """Removed pixels of m pictures, in units in which the system is x - around(x) = right.

    Vectors are laid out as the system likes; their sums are by picture and channel.

    Attributes:
        energy: norm of an error, as estimated by `solve`, where its root mean square is 1; measured
            on pictures and masks like those of the benchmark.
    """

    energy: ClassVar[float]

    def right(self) -> Tensor:
        """What the known pixels contribute."""

    def around(self, x: Tensor) -> Tensor:
        """What the unknown pixels contribute to each other."""

    def precondition(self, residual: Tensor) -> Tensor:
        """An approximate solution for this residual."""

    def sums(self, a: Tensor, b: Tensor) -> Float[Tensor, "m c"]:
        """Inner products."""

    def spread(self, values: Float[Tensor, "m c"]) -> Tensor:
        """One number per picture and channel, ready to multiply a vector."""

    def unknowns(self) -> Shaped[Tensor, " m"]:
        """How many pixels are solved for, by picture."""

    def pictures(self, x: Tensor) -> Float[Tensor, "m c H W"]:
        """The pictures with the solution in the place of what was removed."""


def solve(system: NeighborMeans, tolerance: float, most_steps: int) -> Tensor:
    """Preconditioned conjugate gradients from zero, each picture until its own error is small.

    The error is estimated by the root of r·z over the unknowns of a picture, where z is what the
    preconditioner makes of the residual r: its mean square in the norm of the system. A channel
    that has converged stays as it is, so that the result does not depend on the others.

    Args:
        system: symmetric and positive definite.
        tolerance: root mean square error of the means that is aimed at, in units of pixels.
        most_steps: at most so many.
    """
    residual = system.right()
    x, direction, strength = torch.zeros_like(residual), torch.zeros_like(residual), None
    enough = system.unknowns()[:, None] * (system.energy * tolerance) ** 2
    for _ in range(most_steps):
        z = system.precondition(residual)
        before, strength = strength, system.sums(residual, z)
        active = strength > enough
        if not active.any():
            break
        if before is not None:
            direction.mul_(system.spread(_ratio(strength, before)))
        direction.add_(z)
        applied = direction - system.around(direction)
        size = system.spread(active * _ratio(strength, system.sums(direction, applied)))
        x.addcmul_(size, direction)
        residual.addcmul_(size, applied, value=-1)
    return x


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, 0.0)
