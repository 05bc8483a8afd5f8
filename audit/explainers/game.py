"""GAME: relevance propagated through blocks by attention times its gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import attention_pass, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface


def game(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    start: int = 0,
) -> Explanation:
    """GAME: attention times gradient, cut off at 0, mean over heads, propagated through blocks.

    R begins as I; at each block R becomes R + E R with E the mean over heads of ReLU(A dS/dA). The
    map is the pooled token's row of R.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        start: number of the first block; a negative one counts from the end, so that -1 is the
            default of the released notebook for CLIP: E of the last block.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Raises:
        ValueError: no such block.

    Source:
        Chefer, Gur and Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and
        Encoder-Decoder Transformers" (ICCV 2021), equations 5 and 6.
    """
    pairs = pairs_of(model, images, targets, interface)
    seen = attention_pass(pairs, pairs.block_number(start))
    maps = widen(images).new_empty(len(images), *pairs.tower.grid)
    for mine, slopes in seen.gradients(*seen.attention):
        of = pairs.picture[mine]
        row = pairs.pooled_row(torch.eye(slopes[0].shape[-1]).to(maps)).expand(len(of), -1)
        for a, g in zip(reversed(seen.attention), reversed(slopes), strict=True):
            cam = (widen(a.detach())[of] * g).relu().mean(1)
            row = row + (row[:, None] @ cam)[:, 0]
        maps[mine] = pairs.on_grid(row)
    return Explanation(maps, seen.scores.detach())
