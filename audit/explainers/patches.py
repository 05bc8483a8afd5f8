"""The patches of a picture: their pixels, and the mean of a map over each of them."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

Grid = tuple[int, int]


def patch_means(x: Float[Tensor, "pairs H W"], grid: Grid) -> Float[Tensor, "pairs rows columns"]:
    """Mean over each patch; patches overlap by a pixel where the sides are no whole multiples."""
    side = (x.shape[-2] // grid[0], x.shape[-1] // grid[1])
    if (side[0] * grid[0], side[1] * grid[1]) == tuple(x.shape[-2:]):
        return functional.avg_pool2d(x, side)
    return functional.adaptive_avg_pool2d(x, grid)


def windows(
    size: tuple[int, int], grid: Grid, side: int, device: torch.device
) -> Bool[Tensor, "windows H W"]:
    """The pixels under each square window of patches, one patch apart, in rows and columns.

    Args:
        size: of the picture in pixels.
        grid: of its patches.
        side: of the windows in patches.
        device: of the masks.
    """
    spans = []
    for pixels, patches in zip(size, grid, strict=True):
        edge = torch.arange(patches + 1, device=device)[:, None] * pixels // patches
        pixel = torch.arange(pixels, device=device)
        spans.append((pixel >= edge[: patches - side + 1]) & (pixel < edge[side:]))
    return (spans[0][:, None, :, None] & spans[1][None, :, None, :]).flatten(0, 1)
