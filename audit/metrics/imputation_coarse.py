"""The coarse system of imputation: one unknown per block of pixels that is wholly removed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

_RIDGE = 1e-5  # keeps the system positive where a picture is wholly removed


@dataclass(frozen=True)
class Coarse:
    """Carries values across large holes in one step of the fine system.

    Attributes:
        inverse: of the system between wholly removed blocks, zero elsewhere, (m, p, p).
        rows: which pixel rows of a frame belong to which row of blocks, (frame rows, block rows).
        columns: the same of columns.
    """

    inverse: Float[Tensor, "m p p"]
    rows: Float[Tensor, "H h"]
    columns: Float[Tensor, "W w"]

    @classmethod
    def of(cls, removed: Bool[Tensor, "m H W"], block: int, like: Tensor) -> Coarse | None:
        """The coarse system of masks; None where the picture has no such blocks."""
        height, width = removed.shape[-2:]
        if block < 2 or height % block or width % block:
            return None
        grid = (height // block, width // block)
        whole = removed_blocks(removed, block).flatten(1)
        full = 12 * between_blocks(*grid, block).to(like)  # as the fine system is scaled
        return cls(_inverse(full, whole), *(_belongs(n, block).to(like) for n in grid))

    def select(self, kept: Bool[Tensor, " m"]) -> Coarse:
        """The systems of the pictures that are kept."""
        return Coarse(self.inverse[kept], self.rows, self.columns)

    def add(self, residual: Float[Tensor, "m c H W"], z: Float[Tensor, "m c H W"]) -> None:
        """Add to ``z``, in place, what the coarse system makes of the residual."""
        sums = self.rows.T @ (residual @ self.columns)
        blocks = (sums.flatten(2) @ self.inverse).view_as(sums)
        spread = (self.rows @ blocks).flatten(0, 1)
        z.flatten(0, 1).baddbmm_(spread, self.columns.T.expand(len(spread), -1, -1))


def _inverse(full: Float[Tensor, "p p"], whole: Bool[Tensor, "m p"]) -> Float[Tensor, "m p p"]:
    """Of the system between the chosen blocks of each picture, inverted for these alone."""
    most = max(1, int(whole.sum(1).max()))
    number = whole.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
    real = whole.gather(1, number)
    both = real[:, :, None] & real[:, None]
    unit = torch.eye(most, device=full.device, dtype=full.dtype)
    systems = torch.where(both, full[number[:, :, None], number[:, None]], unit)
    small = torch.cholesky_inverse(torch.linalg.cholesky(systems)) * both
    inverse = full.new_zeros(len(whole), *full.shape)
    pictures = torch.arange(len(whole), device=full.device)[:, None, None]
    inverse[pictures, number[:, :, None], number[:, None]] = small
    return inverse


def removed_blocks(removed: Bool[Tensor, "m H W"], block: int) -> Bool[Tensor, "m h w"]:
    """Blocks all of whose pixels are removed."""
    return -functional.max_pool2d(-removed.float()[:, None], block)[:, 0] > 0


@lru_cache(maxsize=8)
def between_blocks(rows: int, columns: int, block: int) -> Float[Tensor, "p p"]:
    """The fine system summed over blocks, all of them removed: no mask or picture changes it."""
    edge = torch.full((rows * block, columns * block), 1.0, dtype=torch.float64)
    ones = functional.pad(edge, (1, 1, 1, 1))
    count = rows * columns
    label = torch.arange(count).view(rows, columns)
    label = label.repeat_interleave(block, 0).repeat_interleave(block, 1)
    framed = functional.pad(label, (1, 1, 1, 1))
    full = torch.zeros(count, count, dtype=torch.float64)
    height, width = label.shape
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if dy or dx:
                there = (slice(1 + dy, 1 + dy + height), slice(1 + dx, 1 + dx + width))
                weight = ones[there].flatten() / (12 if dy and dx else 6)
                here, other = label.flatten(), framed[there].flatten()
                full.index_put_((here, here), weight, accumulate=True)
                full.index_put_((here, other), -weight, accumulate=True)
    return full + _RIDGE * full.diagonal().mean() * torch.eye(count, dtype=torch.float64)


@lru_cache(maxsize=16)
def _belongs(blocks: int, block: int) -> Float[Tensor, "pixels blocks"]:
    """One where a pixel lies in a block; the last pixel is the frame's, in no block."""
    each = torch.eye(blocks, dtype=torch.float64).repeat_interleave(block, 0)
    return functional.pad(each, (0, 0, 0, 1))
