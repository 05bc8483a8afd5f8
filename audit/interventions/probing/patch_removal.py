"""Occlusion: what the score loses when a window of the picture is painted over."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from audit.interventions.probing.neutral_pictures import Fill, donors, fill_pictures, pixels
from audit.interventions.probing.windows import Probed, chunked, square_windows, sweep
from audit.models.anatomy import Anatomy


@torch.no_grad()
def occlude(
    anatomy: Anatomy,
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
        anatomy: the model under audit.
        images: preprocessed pictures, on the model's device.
        side: patches per side of a window.
        stride: patches from one window to the next.
        fill: what is painted: the picture's mean color, its blur, or the texture beside the window.
        batch: pictures in a forward pass, at most.

    Raises:
        ValueError: for windows that do not fit the grid, or an unknown fill.
    """
    tower = anatomy.image
    windows = square_windows(tower.grid, side, stride, images.device)
    choice = donors(windows, fill, side)
    index = torch.arange(len(windows), device=images.device)

    def prepare(chunk: Tensor) -> tuple[Tensor, Tensor]:
        return chunk, fill_pictures(chunk, fill, tower.patch_size, side)

    def probe(state: tuple[Tensor, Tensor], which: Tensor) -> Tensor:
        chunk, fills = state
        mask = pixels(windows[which], tower.patch_size, (chunk.shape[2], chunk.shape[3]))
        painted = fills[choice[which]].transpose(0, 1)
        occluded = torch.where(mask[:, None], painted, chunk[:, None])
        return anatomy.image_features(occluded.flatten(0, 1)).reshape(len(chunk), len(which), -1)

    features = sweep(images, index, batch, prepare, probe)
    return Probed(features, chunked(anatomy.image_features, images, batch), windows, restores=False)
