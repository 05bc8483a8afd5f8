"""Attention rollout: attention followed back through all blocks."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import attentions_of, pairs_of
from audit.explainers.contract import Explanation
from audit.models.model_under_audit import ModelInterface


@torch.no_grad()
def rollout(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    start: int = 0,
) -> Explanation:
    """Attention rollout: product over blocks of attention and residual, the pooled token's row.

    R is the product, the last block first, of (mean over heads of A + I) / 2, whose rows sum to 1.
    It reads no text and explains no score.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids, of which nothing is read.
        interface: how the model is called.
        start: number of the first block; a negative one counts from the end, so that -1 is what the
            released code of Grad-ECLIP calls rollout.

    Returns:
        Maps (pairs, rows, columns) in [0, 1], summing to at most 1.

    Raises:
        ValueError: no such block.

    Source:
        Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020), equation 1.
    """
    pairs = pairs_of(model, images, targets, interface)
    attention = attentions_of(pairs)[pairs.block_number(start) :]
    row: Tensor | None = None
    for a in reversed(attention):
        mean = a.mean(1)
        eye = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
        mixed = (mean + eye) / 2
        row = pairs.pooled_row(mixed) if row is None else (row[:, None] @ mixed)[:, 0]
    assert row is not None  # noqa: S101 - a tower has a block
    return Explanation(pairs.on_grid(row[pairs.picture]))
