"""What all masks of a grid of blocks share: the matrices of frames, rings and corners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csc_array, csr_array, diags_array, eye_array, kron
from scipy.sparse.linalg import splu
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
    weight = _weights(y.numpy(), x.numpy())
    inside = _inside(weight[f:b, f:b], weight[f:b, :f])
    through = torch.from_numpy(weight[:f, f:b] @ inside)
    frame, around = (
        torch.from_numpy(weight[:f].toarray()),
        torch.from_numpy(weight[b:, :f].toarray()),
    )

    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    ends = torch.stack([row == 0, row == rows - 1, column == 0, column == columns - 1], -1)
    kinds, kind = ends.flatten(0, 1).unique(dim=0, return_inverse=True)
    beyond = torch.stack([y < 0, y >= side, x < 0, x >= side], -1)
    down, right = ((t[:f] + 0.5).double() / side for t in (y, x))
    hat = torch.stack([u * v for u in (1 - down, down) for v in (1 - right, right)], 1)
    inward, unscaled, hats = [], [], []
    for sides in kinds:
        there = ~(beyond & sides).any(1)
        system = torch.diag((frame * there).sum(1)) - frame[:, :f]
        root = torch.linalg.cholesky(system - through)
        unscaled.append(torch.linalg.inv(root))
        inward.append(around @ unscaled[-1].T)
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
        inside=torch.from_numpy(inside.T),
    )


def _weights(y: Int[np.ndarray, " a"], x: Int[np.ndarray, " a"]) -> csr_array:
    """How much pixels count as each other's neighbors, (a, a): direct ones twice as much."""
    side = int(y.max() - y.min()) + 1
    place = (y - y.min()) * side + x - x.min()
    chain = diags_array([1.0, 2.0, 1.0], offsets=(-1, 0, 1), shape=(side, side))
    sums = kron(chain, chain, format="csr") / 12 - eye_array(side**2) / 3  # as `neighbor_sums`
    return csr_array(sums)[place][:, place]


def _inside(inner: csr_array, frame: csr_array) -> Float[np.ndarray, "i f"]:
    """The inner pixels of a block by its frame, each the mean of its neighbors."""
    if not inner.shape[0]:
        return np.zeros(frame.shape)
    solved: Float[np.ndarray, "i f"] = splu(csc_array(eye_array(inner.shape[0]) - inner)).solve(
        frame.toarray()
    )
    return solved
