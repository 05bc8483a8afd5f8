"""The coarse system, whose unknowns are the corners between removed blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from audit.metrics.neighbor_means.block_frames import Frames
from audit.metrics.neighbor_means.grid import Blocks, Grid, blocks_of

_RIDGE = 1e-5  # keeps the system positive where a picture is wholly removed
_ALIKE = 12  # pictures whose systems are as large as the largest of them
_REACH = 2  # corners so far apart share an entry of the system


@dataclass(frozen=True)
class Corners:
    """The coarse system of m pictures, whose unknowns are the corners between removed blocks.

    Attributes:
        inverse: of each picture's system, with zeros in the last row and column.
        slot: of the corners of each frame in (m, c, most); the last one is of all other corners.
        part: of the same in (4, m, c, most), which no other frame has but for the last.
    """

    inverse: Float[Tensor, "m most most"]
    slot: Int[Tensor, "n c 4"]
    part: Int[Tensor, "n c 4"]

    @classmethod
    def of(
        cls, removed: Bool[Tensor, "m h w"], frames: Frames, coarse: Float[Tensor, "v v"]
    ) -> Corners:
        """The corners around which every block is removed, of the `coarse_system`."""
        channels = frames.ring.shape[1]
        kept = functional.pad((~removed)[:, None].to(coarse.dtype), (1, 1, 1, 1))
        free = (functional.max_pool2d(kept, 2, 1) == 0).flatten(1)
        rank = free.cumsum(1) - 1
        most = int(rank[:, -1].max()) + 2
        picture, corner = free.nonzero(as_tuple=True)
        chosen = torch.full((len(removed), most), len(coarse) - 1).to(corner)
        chosen[picture, rank[picture, corner]] = corner
        inverse = _inverses(coarse, chosen)
        own = frames.blocks.corners[frames.block]
        rank = rank.masked_fill(~free, most - 1)[frames.picture[:, None], own][:, None]
        plane = frames.picture[:, None] * channels + torch.arange(channels, device=rank.device)
        slot = plane[..., None] * most + rank
        side = torch.arange(4, device=rank.device) * (len(removed) * channels * most)
        return cls(inverse, slot, slot + side)

    def solve(self, sums: Float[Tensor, "n c 4"]) -> Float[Tensor, "n c 4"]:
        """Values at the corners of each frame, by what each contributes to its corners."""
        m, most = self.inverse.shape[:2]
        parts = sums.new_zeros(4, m, sums.shape[1], most)
        parts.view(-1)[self.part] = sums  # none is added to: sums are the same every time
        values = parts.sum(0) @ self.inverse
        return values.view(-1)[self.slot]


@lru_cache(maxsize=8)
def coarse_system(grid: Grid, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "v v"]:
    """The system of a picture without any block left, and a last row of zeros that is of none."""
    exact = blocks_of(grid, torch.float64, torch.device("cpu"))
    return _between_corners(exact, grid.columns + 1).to(device, dtype)


def _between_corners(blocks: Blocks, wide: int) -> Float[Tensor, "v v"]:
    """The coarse system, by hats too far apart to touch in one channel; ``wide`` corners a row."""
    count = int(blocks.corners.max()) + 1
    row, column = torch.arange(count) // wide, torch.arange(count) % wide
    apart = 2 * _REACH + 1
    channel = row % apart * apart + column % apart
    every = Frames.of(torch.ones(1, len(blocks.kind), dtype=torch.bool), blocks, apart**2)
    corners = blocks.corners[every.block]
    chosen = torch.zeros(len(corners), apart**2, 4, dtype=blocks.hats.dtype)
    chosen[torch.arange(len(corners))[:, None], channel[corners], torch.arange(4)] = 1
    hats = every.by_kind(chosen, blocks.hats.mT)
    applied = every.by_kind(hats - every.around(hats), blocks.hats)
    sums = torch.zeros(count, apart**2, dtype=hats.dtype)
    sums.index_add_(0, corners.flatten(), applied.mT.flatten(0, 1))
    near = (row[:, None] - row).abs().maximum((column[:, None] - column).abs()) <= _REACH
    system = torch.zeros(count + 1, count + 1, dtype=hats.dtype)
    system[:-1, :-1] = torch.where(near, sums[:, channel], 0.0)
    ridge = float(_RIDGE * sums.amax())
    least = float(torch.linalg.eigvalsh(system[:-1, :-1])[0])  # below 0 by what lies out of reach
    shift = ridge if least > -ridge / 2 else ridge - least
    system[:-1, :-1] += shift * torch.eye(count, dtype=hats.dtype)
    return system


def _inverses(
    coarse: Float[Tensor, "v v"], chosen: Int[Tensor, "m most"]
) -> Float[Tensor, "m most most"]:
    """Inverses of the systems of chosen corners, a few pictures of like size at a time."""
    none = len(coarse) - 1
    inverses = coarse.new_zeros(*chosen.shape, chosen.shape[1])
    sizes = [int(n) for n in (chosen < none).sum(1).tolist()]
    for start in range(0, len(chosen), _ALIKE):
        size = max(sizes[start : start + _ALIKE])
        own = chosen[start : start + _ALIKE, :size]
        systems = coarse[own[:, :, None], own[:, None]]
        systems += torch.diag_embed((own == none).to(systems.dtype))
        inverses[start : start + _ALIKE, :size, :size] = torch.cholesky_inverse(
            torch.linalg.cholesky(systems)
        )
    return inverses
