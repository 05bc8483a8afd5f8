"""Activation patching: tokens of a window carried between a neutral and the real picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audit.interventions.probing.neutral_pictures import Neutral, neutral_pictures
from audit.interventions.probing.streams import block_range, features_from, inputs_of_blocks
from audit.interventions.probing.windows import (
    NullControl,
    Probed,
    chunked,
    square_windows,
    sweep,
    token_masks,
)
from audit.models.anatomy import Anatomy, KnownTower

Mode = Literal["insertion", "removal"]
Streams = tuple[list[Tensor], Tensor]


@torch.no_grad()
def patch_activations(
    anatomy: Anatomy,
    images: Float[Tensor, "pictures 3 H W"],
    *,
    mode: Mode = "insertion",
    neutral: Neutral = "mean",
    start: int | None = None,
    stop: int | None = None,
    side: int = 1,
    stride: int = 1,
    batch: int = 256,
) -> Probed:
    """Overwrite a window's tokens, at the input of each block of a range, with another run's.

    ``insertion`` puts the real picture's tokens into the run of its neutral picture, as CAAP does
    (Izadi et al., arXiv 2603.13652), and its effect is the score gained; ``removal`` puts the
    neutral picture's tokens into the real run, and its effect is the score lost.

    Args:
        anatomy: the model under audit.
        images: preprocessed pictures, on the model's device.
        mode: ``insertion`` or ``removal``.
        neutral: the neutral picture, of mean color or blurred.
        start: first block of the range; by default the range is the middle half of the tower.
        stop: block after the last of the range.
        side: patches per side of a window.
        stride: patches from one window to the next.
        batch: rows in a forward pass, at most.

    Raises:
        ValueError: for windows or blocks outside the tower, an unknown mode or neutral picture.
    """
    tower, blocks = anatomy.image, block_range(anatomy.image, start, stop)
    windows = square_windows(tower.grid, side, stride, images.device)
    runs = _runs(tower, mode, neutral, blocks)

    def probe(streams: Streams, masks: Tensor) -> Tensor:
        return patched_features(tower, streams, masks, blocks)

    features = sweep(images, token_masks(windows, tower.prefix), batch, runs, probe)
    target = neutral_pictures(images, neutral) if mode == "insertion" else images
    reference = chunked(anatomy.image_features, target, batch)
    return Probed(features, reference, windows, restores=mode == "insertion")


def patched_features(
    tower: KnownTower,
    streams: Streams,
    masks: Bool[Tensor, "windows tokens"],
    blocks: tuple[int, int],
) -> Float[Tensor, "pictures windows e"]:
    """Features of target runs with masked tokens overwritten by the source's.

    Args:
        tower: the image tower.
        streams: the source's streams at the input of each block of the range, and the target's at
            its first block.
        masks: the tokens that are overwritten.
        blocks: first block, and block after the last.
    """
    sources, target = streams
    x = target[:, None].expand(-1, len(masks), -1, -1)
    for index in range(*blocks):
        source = sources[index - blocks[0]][:, None]
        x = torch.where(masks[..., None], source, x)
        x = tower.run(x.flatten(0, 1), index, index + 1).reshape(x.shape)
    return features_from(tower, x.flatten(0, 1), blocks[1]).reshape(*x.shape[:2], -1)


@torch.no_grad()
def null_control(
    anatomy: Anatomy,
    images: Float[Tensor, "pictures 3 H W"],
    *,
    mode: Mode = "insertion",
    neutral: Neutral = "mean",
    start: int | None = None,
    stop: int | None = None,
) -> NullControl:
    """Patch everything, and nothing, which must give the source's and the target's features.

    Args:
        anatomy: the model under audit.
        images: a few preprocessed pictures; they run in one batch.
        mode: see `patch_activations`, as all others.
        neutral: the neutral picture.
        start: first block of the range.
        stop: block after the last of the range; above ``start``.

    Raises:
        ValueError: for an empty range, in which nothing can be patched, or as `patch_activations`.
    """
    tower, blocks = anatomy.image, block_range(anatomy.image, start, stop)
    if blocks[0] == blocks[1]:
        raise ValueError(f"expected a range of one block or more, got {list(blocks)}")
    streams = _runs(tower, mode, neutral, blocks)(images)
    tokens = streams[1].shape[1]
    masks = torch.tensor([[True] * tokens, [False] * tokens], device=images.device)
    patched = patched_features(tower, streams, masks, blocks)
    real, blank = (anatomy.image_features(x) for x in (images, neutral_pictures(images, neutral)))
    source, target = (real, blank) if mode == "insertion" else (blank, real)
    return NullControl(
        float((patched[:, 0] - source).abs().max()), float((patched[:, 1] - target).abs().max())
    )


def _runs(
    tower: KnownTower, mode: Mode, neutral: Neutral, blocks: tuple[int, int]
) -> Callable[[Tensor], Streams]:
    """From pictures to their source streams and their target stream at the first block."""
    if mode not in ("insertion", "removal"):
        raise ValueError(f"expected the mode 'insertion' or 'removal', got '{mode}'")

    def runs(chunk: Tensor) -> Streams:
        blank = neutral_pictures(chunk, neutral)
        source, target = (chunk, blank) if mode == "insertion" else (blank, chunk)
        start = tower.run(tower.embed(target), 0, blocks[0])
        return inputs_of_blocks(tower, source, *blocks), start

    return runs
