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
    state = _State(x.clone(), missing, Coarse.of(removed, block, images))
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
    """Preconditioned conjugate gradients, advanced in place.

    The system is scaled by 12. The preconditioner is D and the coarse system, added: polynomials
    of the system in the place of D took as many steps, each of which cost more.

    Args:
        x: pictures with a first guess at the removed pixels.
        missing: one at the removed pixels.
        coarse: the second part of the preconditioner.
    """

    def __init__(self, x: Frames, missing: Float[Tensor, "m 1 H W"], coarse: Coarse | None) -> None:
        inside = functional.pad(torch.ones_like(x[:1, :1, 1:, 1:]), (0, 1, 0, 1))
        total = _Room(inside, _Sums(inside)).neighbors(inside) - 4 * inside
        self.reciprocal = 1 / total.clamp(min=1)
        self.x, self.missing, self.coarse = x, missing, coarse
        self.diagonal = missing * (total + 4)
        self._allocate()
        self.residual = missing * (self.direction.neighbors(x) - (total + 4) * x)
        self.strength: Float[Tensor, "m c 1 1"] | None = None

    def _allocate(self) -> None:
        self.sums = _Sums(self.x)
        self.direction = _Room(self.x, self.sums)
        self.z = torch.empty_like(self.x)

    def select(self, kept: Bool[Tensor, " m"]) -> _State:
        """The pictures that are kept."""
        chosen = object.__new__(_State)
        chosen.x, chosen.residual = self.x[kept], self.residual[kept]
        chosen.missing, chosen.diagonal = self.missing[kept], self.diagonal[kept]
        chosen.reciprocal = self.reciprocal
        chosen.coarse = None if self.coarse is None else self.coarse.select(kept)
        chosen.strength = None if self.strength is None else self.strength[kept]
        chosen._allocate()
        chosen.direction.frames.copy_(self.direction.frames[kept])
        return chosen

    def largest_residual(self) -> Float[Tensor, " m"]:
        """Of the means of each picture."""
        residual = torch.mul(self.residual, self.reciprocal, out=self.sums.frames)
        return residual.abs_().flatten(1).amax(1)

    def step(self) -> None:
        """One step of all pictures."""
        direction, z = self.direction.frames, self.z
        torch.mul(self.residual, self.reciprocal, out=z)
        if self.coarse is not None:
            self.coarse.add(self.residual, z)
        strength = _inner(self.residual, z, self.sums.frames)
        if self.strength is None:
            direction.copy_(z)
        else:
            torch.addcmul(z, _ratio(strength, self.strength), direction, out=direction)
        self.strength = strength
        applied = self._apply()
        size = _ratio(strength, _inner(direction, applied, z))
        self.x.addcmul_(size, direction)
        self.residual.addcmul_(size, applied, value=-1)

    def _apply(self) -> Frames:
        """The system times the direction."""
        applied = self.direction.neighbors().mul_(self.missing).neg_()
        return applied.addcmul_(self.direction.frames, self.diagonal)


class _Sums:
    """Buffers that the sums over neighbors are made in, with all their views."""

    def __init__(self, like: Frames) -> None:
        row = like.shape[-1]
        wide = like.new_empty(like.numel() + 2 * (row + 1))
        self.frames = torch.empty_like(like)
        self.flat, self.wide = self.frames.view(-1), wide[1:-1]
        self.above, self.below = wide[1 : -2 * row - 1], wide[2 * row + 1 : -1]
        self.level = wide[row + 1 : -row - 1]


class _Room:
    """Frames with zeros before and behind, so that a neighbor is a shift of the whole.

    Attributes:
        frames: to be filled.
    """

    def __init__(self, like: Frames, sums: _Sums) -> None:
        room = like.shape[-1] + 1
        flat = like.new_zeros(like.numel() + 2 * room)
        self.frames = flat[room:-room].view(like.shape)
        self._left, self._right, self._center = flat[:-2], flat[2:], flat[1:-1]
        self._sums = sums

    def neighbors(self, frames: Frames | None = None) -> Frames:
        """Sums over the eight neighbors, direct ones 2 and diagonal ones 1, and 4 of the pixel.

        The kernel is [1 2 1]ᵀ[1 2 1]. What it gives in the frame is of no meaning.

        Args:
            frames: to fill in first.
        """
        if frames is not None:
            self.frames.copy_(frames)
        sums = self._sums
        torch.add(self._left, self._right, out=sums.wide).add_(self._center, alpha=2)
        torch.add(sums.above, sums.below, out=sums.flat).add_(sums.level, alpha=2)
        return sums.frames


def _inner(a: Frames, b: Frames, room: Frames) -> Float[Tensor, "m c 1 1"]:
    """Inner products of each channel; ``room`` is overwritten."""
    return torch.mul(a, b, out=room).sum((2, 3), keepdim=True)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, 0.0)
