"""The frames of removed blocks: where they lie, and what they contribute to each other."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.metrics.neighbor_means.grid import Blocks


@dataclass(frozen=True)
class Frames:
    """Frames of the removed blocks of m pictures, (n, c, f), those of a kind side by side.

    Attributes:
        blocks: what they share.
        picture: of each.
        block: of each.
        rank: among those of its picture.
        most: blocks of one picture.
        counts: blocks of each kind.
        ring: where the rings of the frames lie among all frames; past the end where known.
    """

    blocks: Blocks
    picture: Int[Tensor, " n"]
    block: Int[Tensor, " n"]
    rank: Int[Tensor, " n"]
    most: int
    counts: list[int]
    ring: Int[Tensor, "n c r"]

    @classmethod
    def of(cls, removed: Bool[Tensor, "m p"], blocks: Blocks, channels: int) -> Frames:
        """The frames of the removed blocks."""
        picture, block = removed.nonzero(as_tuple=True)
        size = removed.sum(1)
        rank = torch.arange(len(block), device=block.device) - (size.cumsum(0) - size)[picture]
        order = blocks.kind[block].argsort(stable=True)
        picture, block, rank = picture[order], block[order], rank[order]
        counts = torch.bincount(blocks.kind[block], minlength=len(blocks.inward)).tolist()
        n, f = len(block), len(blocks.frame)
        last = n * channels * f
        at = torch.full((len(removed) * blocks.size,), last, dtype=torch.int32, device=block.device)
        first = (picture * blocks.size + blocks.origin[block])[:, None]
        own = torch.arange(n * f, dtype=torch.int32, device=block.device).view(n, f)
        at[first + blocks.frame] = own + own.div(f, rounding_mode="floor") * ((channels - 1) * f)
        channel = torch.arange(channels, dtype=torch.int32, device=block.device)[:, None]
        ring = at[first + blocks.ring][:, None] + channel * f
        return cls(blocks, picture, block, rank, int(size.max()), counts, ring.clamp_(max=last))

    def by_kind(
        self,
        x: Float[Tensor, "n c a"],
        matrices: Float[Tensor, "k a b"],
        out: Float[Tensor, "n c b"] | None = None,
    ) -> Float[Tensor, "n c b"]:
        """Each block's rows times the matrix of its kind."""
        out = x.new_empty(*x.shape[:2], matrices.shape[-1]) if out is None else out
        ends = [0, *itertools.accumulate(self.counts)]
        for (a, b), matrix in zip(itertools.pairwise(ends), matrices, strict=True):
            if b > a:
                torch.mm(x[a:b].flatten(0, 1), matrix, out=out[a:b].flatten(0, 1))
        return out

    def around(self, x: Float[Tensor, "n c f"]) -> Float[Tensor, "n c f"]:
        """What the scaled frames contribute to each other."""
        pixels = x.new_zeros(x.numel() + 1)  # the last one is what is known
        self.by_kind(x, self.blocks.unscaled, out=pixels[:-1].view(x.shape))
        rings = pixels.index_select(0, self.ring.flatten()).view(self.ring.shape)
        return self.by_kind(rings, self.blocks.inward)
