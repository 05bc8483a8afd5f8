"""Attention of the class token in the last block, as it is."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import last_block, widen


@torch.no_grad()
def raw_attention(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
) -> Explanation:
    """Attention of the class token to each patch in the last block, mean over the model's heads.

    It reads no text and explains no score.

    Returns:
        Maps (pairs, rows, columns) in [0, 1], summing to at most 1.
    """
    seen = last_block(model, images, targets)
    attention = widen(seen.block.attention(seen.q, seen.k))
    return Explanation(seen.on_grid(attention[:, :, 0, 1:].mean(dim=1)[seen.picture]))
