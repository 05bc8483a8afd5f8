"""The linear system of imputation, solved by conjugate gradients for a batch of pictures.

Pictures lie in frames with one more row and column of zeros, flattened one after the other: a
neighbor is a shift of the whole batch, and no operation copies or allocates.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from audit.metrics.imputation_coarse import Coarse

_STRIDE = 2  # steps between looks at what has converged
Frames = Float[Tensor, "m c H W"]


def solve(
    images: Float[Tensor, "m c H W"],
    removed: Bool[Tensor, "m H W"],
    tolerance: float,
    most_steps: int,
    block: int,
) -> Float[Tensor, "m c H W"]:
    """Solve (D - W) x = 0 at the removed pixels; see `audit.metrics.imputation.impute`."""
    x = functional.pad(images, (0, 1, 0, 1))
    missing = functional.pad(removed[:, None].to(images.dtype), (0, 1, 0, 1))
    left = (1 - removed.to(images.dtype)).sum((1, 2))[:, None, None, None]
    known = (x * (1 - missing)).sum((2, 3), keepdim=True)
    x = torch.where(missing > 0, known / left.clamp(min=1), x)
    state = _State(x, missing, Coarse.of(removed, block, images))
    active = torch.arange(len(x), device=x.device)
    for step in range(most_steps):
        if step % _STRIDE == 0:
            unsolved = state.largest_residual() > tolerance
            if not unsolved.all():
                x[active] = state.x
                active, state = active[unsolved], state.select(unsolved)
            if not len(active):
                break
        state.step()
    x[active] = state.x
    return x[..., :-1, :-1]


class _State:
    """Preconditioned conjugate gradients, advanced in place; the system is scaled by 12.

    Args:
        x: pictures with a first guess at the removed pixels.
        missing: one at the removed pixels.
        coarse: the second part of the preconditioner, beside D.
    """

    def __init__(self, x: Frames, missing: Float[Tensor, "m 1 H W"], coarse: Coarse | None) -> None:
        self.x, self.missing, self.coarse = x.clone(), missing, coarse
        inside = functional.pad(torch.ones_like(x[:1, :1, 1:, 1:]), (0, 1, 0, 1))
        self.reciprocal = 1 / _System(inside).neighbors(inside).sub_(4 * inside).clamp(min=1)
        self.diagonal = missing * (1 / self.reciprocal + 4)
        self._allocate()
        self.residual = missing * (self.system.neighbors(x) - x / self.reciprocal - 4 * x)
        self.strength: Float[Tensor, "m c 1 1"] | None = None

    def _allocate(self) -> None:
        self.system = _System(self.x)
        self.z, self.applied = torch.empty_like(self.x), torch.empty_like(self.x)

    def select(self, kept: Bool[Tensor, " m"]) -> _State:
        """The pictures that are kept."""
        chosen = object.__new__(_State)
        chosen.x, chosen.residual = self.x[kept], self.residual[kept]
        chosen.missing, chosen.diagonal = self.missing[kept], self.diagonal[kept]
        chosen.reciprocal = self.reciprocal
        chosen.coarse = None if self.coarse is None else self.coarse.select(kept)
        chosen.strength = None if self.strength is None else self.strength[kept]
        chosen._allocate()
        chosen.system.direction.copy_(self.system.direction[kept])
        return chosen

    def largest_residual(self) -> Float[Tensor, " m"]:
        """Of the means of each picture."""
        torch.mul(self.residual, self.reciprocal, out=self.z)
        return self.z.abs_().flatten(1).amax(1)

    def step(self) -> None:
        """One step of all pictures."""
        torch.mul(self.residual, self.reciprocal, out=self.z)
        if self.coarse is not None:
            self.coarse.add(self.residual, self.z)
        strength = _inner(self.residual, self.z, self.applied)
        direction = self.system.direction
        if self.strength is None:
            direction.copy_(self.z)
        else:
            torch.addcmul(self.z, _ratio(strength, self.strength), direction, out=direction)
        self.strength = strength
        torch.mul(direction, self.diagonal, out=self.applied)
        self.applied.addcmul_(self.missing, self.system.neighbors(direction), value=-1)
        size = _ratio(strength, _inner(direction, self.applied, self.z))
        self.x.addcmul_(size, direction)
        self.residual.addcmul_(size, self.applied, value=-1)


class _System:
    """Sums over neighbors for frames of one shape; every buffer and view of it is made once.

    Attributes:
        direction: frames with room before and behind, to be filled.
    """

    def __init__(self, like: Frames) -> None:
        row = like.shape[-1]
        room = row + 1
        flat = like.new_zeros(like.numel() + 2 * room)
        wide, sums = torch.empty_like(flat), torch.empty_like(like)
        self.direction = flat[room:-room].view(like.shape)
        self._across = (flat[:-2], flat[2:], flat[1:-1], wide[1:-1])
        down = (wide[1 : -2 * row - 1], wide[2 * row + 1 : -1], wide[row + 1 : -row - 1])
        self._down, self._flat_sums, self._sums = down, sums.view(-1), sums

    def neighbors(self, x: Frames) -> Frames:
        """Sums over the eight neighbors, direct ones 2 and diagonal ones 1, and 4 of the pixel.

        The kernel is [1 2 1]ᵀ[1 2 1]. What it gives in the frame is of no meaning.
        """
        if x is not self.direction:
            self.direction.copy_(x)
        left, right, center, wide = self._across
        torch.add(left, right, out=wide).add_(center, alpha=2)
        above, below, level = self._down
        torch.add(above, below, out=self._flat_sums).add_(level, alpha=2)
        return self._sums


def _inner(a: Frames, b: Frames, room: Frames) -> Float[Tensor, "m c 1 1"]:
    """Inner products of each channel; ``room`` is overwritten."""
    return torch.mul(a, b, out=room).sum((2, 3), keepdim=True)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, 0.0)
