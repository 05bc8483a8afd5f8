"""Random matrices and permutations of the edits: float64 on the CPU, the same on every device."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from audit.interventions.function_preserving.parts import EditNotApplicableError

CONDITION = 10.0


def orthogonal(size: int, generator: torch.Generator) -> Float[Tensor, "n n"]:
    """An orthogonal matrix, uniform over the group (Mezzadri 2007: QR with the signs of R)."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    signs = torch.where(r.diagonal() < 0, -1.0, 1.0)
    return torch.mul(q, signs)


def invertible(size: int, generator: torch.Generator) -> Float[Tensor, "n n"]:
    """An invertible matrix of condition number 10 (1 for a single number) and determinant +-1."""
    reach = 0.5 * torch.log(torch.tensor(CONDITION, dtype=torch.float64))
    logs = torch.linspace(-1, 1, size, dtype=torch.float64) * reach if size > 1 else reach * 0
    return orthogonal(size, generator) * logs.exp() @ orthogonal(size, generator)


def stretches(size: int, generator: torch.Generator, spread: float) -> Float[Tensor, " n"]:
    """Numbers of either sign whose sizes reach over a factor of 10 to the ``spread``.

    There is a negative one among two or more, so that they are never all one.
    """
    logs = torch.linspace(-1, 1, size, dtype=torch.float64) if size > 1 else torch.zeros(1).double()
    signs = torch.where(torch.arange(size) % 2 == 0, -1.0, 1.0).double()
    numbers = signs * CONDITION ** (0.5 * spread * logs)
    return numbers[torch.randperm(size, generator=generator)]


def paired(
    size: int, generator: torch.Generator, *, half: bool, spread: float
) -> Float[Tensor, "n n"]:
    """A matrix that turns and stretches pairs of channels, and so commutes with rotary positions.

    Args:
        size: number of channels, even.
        generator: on the CPU.
        half: whether channel i is paired with i + size / 2, not with its neighbor.
        spread: decades over which the stretches reach; 0 for a rotation.
    """
    index = torch.arange(size).reshape((2, -1) if half else (-1, 2))
    first, second = index if half else index.T
    angle = 2 * torch.pi * torch.rand(len(first), generator=generator, dtype=torch.float64)
    radius = stretches(len(first), generator, spread)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix[first, first] = matrix[second, second] = radius * angle.cos()
    matrix[second, first] = radius * angle.sin()
    matrix[first, second] = -radius * angle.sin()
    return matrix


def permutation(size: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """A permutation of a single cycle, uniform over them (Sattolo 1986).

    No set of some of the elements is mapped onto itself, so that whoever looks at some of the heads
    or neurons, whichever they are, looks at others after the edit.

    Raises:
        EditNotApplicableError: where there is only one element.
    """
    if size < 2:
        raise EditNotApplicableError("expected two or more things to permute, got one")
    cycle = torch.randperm(size, generator=generator)
    order = torch.empty_like(cycle)
    order[cycle] = cycle.roll(-1)
    return order


def gaussian(*shape: int, generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
