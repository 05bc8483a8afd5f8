"""Grad-SAM: attention of all blocks, weighed by its positive gradients."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import attention_pass, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface


def grad_sam(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    start: int = 0,
) -> Explanation:
    """Grad-SAM: attention times its positive gradient, mean over blocks and heads.

    Map is the mean over blocks and heads of the pooled token's row of A ReLU(dS/dA).

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        start: number of the first block; a negative one counts from the end.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Raises:
        ValueError: no such block.

    Source:
        Barkan et al., "Grad-SAM" (CIKM 2021); the class token's row as its use on pictures has it,
        where texts take the mean over all rows.
    """
    pairs = pairs_of(model, images, targets, interface)
    seen = attention_pass(pairs, pairs.block_number(start))
    maps = widen(images).new_empty(len(images), *pairs.tower.grid)
    for mine, slopes in seen.gradients(*seen.attention):
        rows = [
            (pairs.pooled_row(widen(a.detach())[pairs.picture[mine]]) * pairs.pooled_row(g).relu())
            for a, g in zip(seen.attention, slopes, strict=True)
        ]
        maps[mine] = pairs.on_grid(torch.stack(rows).mean((0, 2)))
    return Explanation(maps, seen.scores.detach())
