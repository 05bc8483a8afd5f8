"""What all masks of a grid of blocks share: the matrices of frames, rings and corners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Grid(NamedTuple):
    """Rows and columns of square blocks, and their side in pixels."""

    rows: int
    columns: int
    side: int


@dataclass(frozen=True)
class Blocks:
    """What all masks of a grid of blocks share; places are those of a picture padded by one pixel.

    Attributes:
        frame: pixels of a block that touch others, relative to its first pixel.
        inner: its other pixels.
        ring: pixels around it.
        origin: the first pixel of each block.
        kind: of each block, by the sides on which the picture ends.
        corners: the four corners of each block, among those of all blocks, row by row.
        size: pixels of a padded picture.
        inward: scaled frame by its ring, for each kind.
        unscaled: frame by the scaled frame, for each kind.
        hats: scaled frames that fall linearly from 1 at one of the corners, for each kind.
        inside: inner pixels by the frame.
    """

    frame: Int[Tensor, " f"]
    inner: Int[Tensor, " i"]
    ring: Int[Tensor, " r"]
    origin: Int[Tensor, " p"]
    kind: Int[Tensor, " p"]
    corners: Int[Tensor, "p 4"]
    size: int
    inward: Float[Tensor, "k r f"]
    unscaled: Float[Tensor, "k f f"]
    hats: Float[Tensor, "k f 4"]
    inside: Float[Tensor, "f i"]


@lru_cache(maxsize=8)
def blocks_of(grid: Grid, dtype: torch.dtype, device: torch.device) -> Blocks:
    """The blocks of a grid of two or more."""
    made = _blocks(*grid)
    moved = {
        name: value.to(device, dtype if value.is_floating_point() else value.dtype)
        for name, value in vars(made).items()
        if isinstance(value, Tensor)
    }
    return Blocks(size=made.size, **moved)


def _blocks(rows: int, columns: int, side: int) -> Blocks:
    along = torch.arange(-1, side + 1)
    y, x = (t.flatten() for t in torch.meshgrid(along, along, indexing="ij"))
    depth = torch.stack([y, x, side - 1 - y, side - 1 - x]).amin(0)
    order = torch.cat([torch.nonzero(part)[:, 0] for part in (depth == 0, depth > 0, depth < 0)])
    f, b = int((depth == 0).sum()), side * side
    y, x = y[order], x[order]
    apart = torch.stack([(y[:, None] - y).abs(), (x[:, None] - x).abs()])
    weight = torch.where(apart.amin(0) == 1, 1 / 12, 1 / 6).double() * (apart.amax(0) == 1)

    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    ends = torch.stack([row == 0, row == rows - 1, column == 0, column == columns - 1], -1)
    kinds, kind = ends.flatten(0, 1).unique(dim=0, return_inverse=True)
    beyond = torch.stack([y < 0, y >= side, x < 0, x >= side], -1)
    inner = torch.eye(b - f, dtype=weight.dtype) - weight[f:b, f:b]
    inside = torch.linalg.solve(inner, weight[f:b, :f])
    down, right = ((t[:f] + 0.5).double() / side for t in (y, x))
    hat = torch.stack([u * v for u in (1 - down, down) for v in (1 - right, right)], 1)
    inward, unscaled, hats = [], [], []
    for sides in kinds:
        there = ~(beyond & sides).any(1)
        system = torch.diag((weight[:f] * there).sum(1)) - weight[:f, :f]
        root = torch.linalg.cholesky(system - weight[:f, f:b] @ inside)
        unscaled.append(torch.linalg.inv(root))
        inward.append(weight[b:, :f] @ unscaled[-1].T)
        hats.append(root.T @ hat)

    width = columns * side + 2
    first = (row * (columns + 1) + column).flatten()
    return Blocks(
        frame=(y * width + x)[:f],
        inner=(y * width + x)[f:b],
        ring=(y * width + x)[b:],
        origin=((row * side + 1) * width + column * side + 1).flatten(),
        kind=kind,
        corners=first[:, None] + torch.tensor([0, 1, columns + 1, columns + 2]),
        size=(rows * side + 2) * width,
        inward=torch.stack(inward),
        unscaled=torch.stack(unscaled),
        hats=torch.stack(hats),
        inside=inside.T,
    )
