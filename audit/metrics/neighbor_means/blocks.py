"""The system of removed pixels where whole square blocks are removed, at a fraction of its size.

A block's inner pixels follow from its frame, and its frame from the ring of pixels around it, by
matrices that all blocks of a kind share. So only frames are solved for, a step is a product of
small matrices, and a coarse system with one unknown at each corner between removed blocks carries
values across large holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from audit.metrics.neighbor_means.block_frames import Frames
from audit.metrics.neighbor_means.corners import Corners, coarse_system
from audit.metrics.neighbor_means.grid import Grid, blocks_of


@dataclass(frozen=True)
class RemovedBlocks:
    """Whole blocks, as a system for `audit.metrics.neighbor_means.conjugate_gradients`.

    Attributes:
        padded: pictures with one more pixel on each side.
        frames: of the removed blocks.
        corners: the coarse system.
    """

    energy: ClassVar[float] = 0.3
    padded: Float[Tensor, "m c H W"]
    frames: Frames
    corners: Corners

    @classmethod
    def of(cls, images: Float[Tensor, "m c H W"], removed: Bool[Tensor, "m h w"]) -> RemovedBlocks:
        """The system of pictures from which these blocks are removed."""
        rows, columns = removed.shape[1:]
        grid = Grid(rows, columns, images.shape[2] // rows)
        shared = grid, images.dtype, images.device
        frames = Frames.of(removed.flatten(1), blocks_of(*shared), images.shape[1])
        corners = Corners.of(removed, frames, coarse_system(*shared))
        return cls(functional.pad(images, (1, 1, 1, 1)), frames, corners)

    def right(self) -> Float[Tensor, "n c f"]:
        """What the known pixels around contribute to each frame."""
        ring, frames = self.frames.ring, self.frames
        unknown = ring < ring.shape[0] * ring.shape[1] * len(frames.blocks.frame)
        pixels = self.padded.flatten()[self._places(frames.blocks.ring)]
        return frames.by_kind(pixels.masked_fill_(unknown, 0), frames.blocks.inward)

    def around(self, x: Float[Tensor, "n c f"]) -> Float[Tensor, "n c f"]:
        """What frames contribute to each other."""
        return self.frames.around(x)

    def precondition(self, residual: Float[Tensor, "n c f"]) -> Float[Tensor, "n c f"]:
        """The residual itself, and what the corners spread of it."""
        hats = self.frames.blocks.hats
        values = self.corners.solve(self.frames.by_kind(residual, hats))
        return self.frames.by_kind(values, hats.mT).add_(residual)

    def sums(self, a: Float[Tensor, "n c f"], b: Float[Tensor, "n c f"]) -> Float[Tensor, "m c"]:
        """Inner products, by picture and channel."""
        return self._by_picture(torch.linalg.vecdot(a, b)).sum(1)

    def spread(self, values: Float[Tensor, "m c"]) -> Float[Tensor, "n c 1"]:
        """One number for each frame and channel."""
        return values[self.frames.picture][..., None]

    def unknowns(self) -> Float[Tensor, " m"]:
        """How many pixels of frames are removed, by picture."""
        each = torch.full((len(self.frames.block), 1), len(self.frames.blocks.frame))
        return self._by_picture(each.to(self.padded)).sum((1, 2))

    def pictures(self, x: Float[Tensor, "n c f"]) -> Float[Tensor, "m c H W"]:
        """The pictures with frames and inner pixels filled in."""
        blocks, filled = self.frames.blocks, self.padded.clone()
        frame = self.frames.by_kind(x, blocks.unscaled)
        filled.view(-1)[self._places(blocks.frame)] = frame
        filled.view(-1)[self._places(blocks.inner)] = frame @ blocks.inside
        return filled[:, :, 1:-1, 1:-1]

    def _by_picture(self, values: Float[Tensor, "n c"]) -> Float[Tensor, "m most c"]:
        rows = values.new_zeros(len(self.padded), self.frames.most, values.shape[1])
        rows[self.frames.picture, self.frames.rank] = values
        return rows

    def _places(self, pixels: Int[Tensor, " a"]) -> Int[Tensor, "n c a"]:
        """Where pixels relative to a block's first one lie in all pictures."""
        frames, channels = self.frames, self.padded.shape[1]
        channel = torch.arange(channels, device=pixels.device)
        plane = frames.picture[:, None] * channels + channel
        first = plane * frames.blocks.size + frames.blocks.origin[frames.block][:, None]
        return first[..., None] + pixels
