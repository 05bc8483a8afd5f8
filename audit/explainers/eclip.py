"""What Grad-ECLIP and Attention-ECLIP share: their options, patch weights and picture size."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.last_block import LastBlock, last_block, widen
from audit.models.anatomy import Tower
from audit.models.model_under_audit import ModelInterface

Weight = Literal["projected", "raw", "none"]
Heads = Literal["released", "model"]
Input = Literal["model", "own-size"]

OWN_SIZE = 4 / 3


def eclip_block(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    size: Input,
    interface: ModelInterface | None = None,
) -> LastBlock:
    """The last block at the model's picture size, or at a larger one as the released code does."""
    embed = own_size if size == "own-size" else None
    return last_block(model, images, targets, interface=interface, embed=embed)


def head_count(heads: Heads) -> int | None:
    """One head as in the released code, or None for the model's number."""
    return 1 if heads == "released" else None


@torch.no_grad()
def loosened_attention(
    seen: LastBlock, weight: Weight
) -> Float[Tensor, "pictures read patches"] | Float[Tensor, "pictures read 1"]:
    """Weight of each patch: cosine of class-token query and patch key, scaled to [0, 1].

    ``projected`` sends both through `out_proj` first (released evaluation code), ``raw`` does not
    (released notebooks), ``none`` weighs all patches alike (released ``wo-ksim``). Where all
    patches have the same cosine the weights are 0, not the released code's NaN.
    """
    if weight == "none":
        return torch.ones_like(widen(seen.q[..., :1]))
    q, k = seen.q, seen.k[:, seen.prefix :]
    if weight == "projected":
        q, k = seen.block.project(q), seen.block.project(k)
    q, k = (functional.normalize(widen(z), dim=-1) for z in (q, k))
    cosine = q @ k.mT
    low, high = cosine.aminmax(dim=-1, keepdim=True)
    return (cosine - low) / (high - low).clamp_min(torch.finfo(cosine.dtype).tiny)


def own_size(
    tower: Tower, images: Float[Tensor, "pictures 3 H W"]
) -> tuple[Float[Tensor, "pictures tokens width"], tuple[int, int]]:
    """Tokens of pictures that keep a size of their own, with interpolated position embeddings.

    The released code runs on the file's own size, rounded to whole patches. The contract hands over
    the preprocessed picture alone, so the file's size is stood for by 4/3 of the model's (released
    example: 640x480 for a model of 224), rounded to whole patches and at least one patch more.
    Pictures and positions are resized bicubically, ``align_corners=False``.
    """
    rows, columns = (max(side + 1, round(side * OWN_SIZE)) for side in tower.grid)
    size = (rows * tower.patch_size, columns * tower.patch_size)
    patches = tower.embed_patches(_resize(images, size))
    table = tower.positions.to(patches.dtype)
    grid = table[1:].T.reshape(1, -1, *tower.grid)
    positions = _resize(grid, (rows, columns)).flatten(2).transpose(1, 2)
    first = tower.class_token.to(patches.dtype) + table[:1]
    x = torch.cat([first.expand(len(images), 1, -1), patches + positions], dim=1)
    return tower.normalize_embedded(x), (rows, columns)


def _resize(
    x: Float[Tensor, "b c h w"], size: tuple[int, int]
) -> Float[Tensor, "b c height width"]:
    y = functional.interpolate(widen(x), size=size, mode="bicubic", align_corners=False)
    return y.to(x.dtype)
