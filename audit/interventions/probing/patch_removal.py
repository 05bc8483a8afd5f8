"""Occlusion: what the score loses when a window of the picture is painted over."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from audit.interventions.probing.neutral_pictures import (
    Fill,
    donors,
    fill_pictures,
    neutral_pictures,
    pixels,
)
from audit.interventions.probing.windows import NullControl, Probed, chunked, square_windows, sweep

Features = Callable[[Float[Tensor, "n 3 H W"]], Float[Tensor, "n e"]]
"""From pictures to their features; their product with a target's is the score."""


@torch.no_grad()
def occlude(
    features: Features,
    grid: tuple[int, int],
    images: Float[Tensor, "pictures 3 H W"],
    *,
    side: int = 1,
    stride: int = 1,
    fill: Fill = "mean",
    batch: int = 256,
) -> Probed:
    """Paint over every window of every picture and run the model on the rest.

    After Zeiler and Fergus (2014), with windows on the model's patch grid.

    Args:
        features: of the model under audit.
        grid: its patch rows and columns.
        images: preprocessed pictures, on the model's device.
        side: patches per side of a window.
        stride: patches from one window to the next.
        fill: what is painted: the picture's mean color, its blur, or the texture beside the window.
        batch: pictures in a forward pass, at most.

    Raises:
        ValueError: for windows that do not fit the grid, or an unknown fill.
    """
    windows = square_windows(grid, side, stride, images.device)
    choice = donors(windows, fill, side)
    index = torch.arange(len(windows), device=images.device)

    def prepare(chunk: Tensor) -> tuple[Tensor, Tensor]:
        return chunk, fill_pictures(chunk, fill, grid, side)

    def probe(state: tuple[Tensor, Tensor], which: Tensor) -> Tensor:
        chunk, fills = state
        mask = pixels(windows[which], (chunk.shape[2], chunk.shape[3]))
        painted = fills[choice[which]].transpose(0, 1)
        occluded = torch.where(mask[:, None], painted, chunk[:, None])
        return features(occluded.flatten(0, 1)).reshape(len(chunk), len(which), -1)

    probed = sweep(images, index, batch, prepare, probe)
    return Probed(probed, chunked(features, images, batch), windows, restores=False)


@torch.no_grad()
def null_removal(
    features: Features, grid: tuple[int, int], images: Float[Tensor, "n 3 H W"]
) -> NullControl:
    """Remove everything, and nothing, which must give the features of neutral and real pictures.

    Args:
        features: of the model under audit.
        grid: its patch rows and columns.
        images: a few preprocessed pictures whose sides are multiples of the grid's.
    """
    masks = torch.tensor([True, False], device=images.device)[:, None, None].expand(2, *grid)
    mask = pixels(masks, (images.shape[2], images.shape[3]))[:, None, None]
    neutral = neutral_pictures(images)
    real, blank = features(images), features(neutral)
    everything, nothing = (features(torch.where(m, neutral, images)) for m in mask)
    return NullControl(float((everything - blank).abs().max()), float((nothing - real).abs().max()))
