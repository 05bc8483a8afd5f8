"""GAME of the text tower: relevance propagated through blocks by attention times its gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.text_pass import first_block, text_pairs_of, text_pass
from audit.models.model_under_audit import ModelInterface


def text_game(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs context"],
    *,
    interface: ModelInterface | None = None,
    start: int = 0,
) -> Explanation:
    """GAME of the text: attention times gradient, cut off at 0, propagated through text blocks.

    As `audit.explainers.game`, the row of the end of the text.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        start: number of the first text block; a negative one counts from the end, so that -1 is the
            default of the released notebook for CLIP.

    Returns:
        Token maps (pairs, context), at least 0, 0 outside the text; even maps of the pictures; the
        model's scores.

    Raises:
        ValueError: no such block.
        UnknownAnatomyError: the text tower is not known.

    Source:
        Chefer, Gur and Wolf, "Generic Attention-model Explainability for Interpreting Bi-Modal and
        Encoder-Decoder Transformers" (ICCV 2021), equations 5 and 6.
    """
    pairs = text_pairs_of(model, images, targets, interface)
    seen = text_pass(pairs, first_block(pairs, start))
    found = widen(seen.attention[0].detach()).new_empty(targets.shape)
    each = torch.eye(targets.shape[1], dtype=found.dtype, device=found.device)
    for mine, slopes in seen.gradients(*seen.attention):
        of = pairs.text[mine]
        row = each[pairs.end[of]]
        for a, slope in zip(reversed(seen.attention), reversed(slopes), strict=True):
            cam = (widen(a.detach())[of] * slope).relu().mean(1)
            row = row + (row[:, None] @ cam)[:, 0]
        found[mine] = row
    return pairs.explanation(found, seen.scores)
