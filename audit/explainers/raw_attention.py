"""Attention of what is read in the last block, as it is."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import last_block, widen
from audit.models.model_under_audit import ModelInterface


@torch.no_grad()
def raw_attention(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
) -> Explanation:
    """Attention to each patch in the last block of the token that is read, mean over heads.

    The class token's; where the mean of tokens is read, the mean over their attention; where a
    learned query pools the tokens, that query's. It reads no target and explains no score.

    Returns:
        Maps (pairs, rows, columns) in [0, 1], summing to at most 1.
    """
    seen = last_block(model, images, targets, interface=interface)
    if seen.alike is None:
        raise ValueError(
            "expected one way in which tokens are read, found the class token beside the mean of "
            "the others; take grad-attention or attention-logit-gradient, which weigh each of them"
        )
    attention = widen(seen.attention())[:, :, seen.alike]
    return Explanation(seen.on_grid(seen.patches(attention.mean((1, 2)))[seen.picture]))
