"""Attention knock-out: what the score loses when no token may look at a window of patches."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from audit.interventions.probing.streams import block_range, features_from
from audit.interventions.probing.windows import (
    Probed,
    chunked,
    square_windows,
    sweep,
    token_masks,
)
from audit.models.anatomy import Anatomy, Block


@torch.no_grad()
def knock_out(
    anatomy: Anatomy,
    images: Float[Tensor, "pictures 3 H W"],
    *,
    start: int | None = None,
    stop: int | None = None,
    side: int = 1,
    stride: int = 1,
    batch: int = 256,
) -> Probed:
    """Hide the keys of each window from every token in blocks ``start`` to ``stop - 1``.

    The attention is computed on the model's own heads through the anatomy (Geva et al. 2023, for
    language models); blocks outside the range run as the model runs them.

    Args:
        anatomy: the model under audit.
        images: preprocessed pictures, on the model's device.
        start: first block of the range; by default the range is the middle half of the tower.
        stop: block after the last of the range.
        side: patches per side of a window.
        stride: patches from one window to the next.
        batch: rows in a forward pass, at most.

    Raises:
        ValueError: for windows or blocks outside the tower.
    """
    tower = anatomy.image
    begin, end = block_range(tower, start, stop)
    windows = square_windows(tower.grid, side, stride, images.device)

    def prepare(chunk: Tensor) -> Tensor:
        return tower.run(tower.embed(chunk), 0, begin)

    def probe(stream: Tensor, hidden: Tensor) -> Tensor:
        rows, count = len(stream), len(hidden)
        x = stream[:, None].expand(-1, count, -1, -1).flatten(0, 1)
        visible = ~hidden.repeat(rows, 1)
        for block in tower.blocks[begin:end]:
            x = run_visible(block, x, visible)
        return features_from(tower, x, end).reshape(rows, count, -1)

    features = sweep(images, token_masks(windows, tower.prefix), batch, prepare, probe)
    return Probed(features, chunked(anatomy.image_features, images, batch), windows, restores=False)


def run_visible(
    block: Block, x: Float[Tensor, "n t d"], visible: Bool[Tensor, "n t"]
) -> Float[Tensor, "n t d"]:
    """A block whose tokens attend to the visible tokens only, on the model's heads."""
    q, k, v = (block.split_heads(part) for part in block.qkv(block.normalize(x)))
    mixed = functional.scaled_dot_product_attention(
        q, k, v, attn_mask=visible[:, None, None], scale=block.scale
    )
    return block.finish(x, block.project(block.merge_heads(mixed)))
