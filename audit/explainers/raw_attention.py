"""Attention of what is read in the last block, as it is."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.eclip import Heads, Input, eclip_block, head_count
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface


@torch.no_grad()
def raw_attention(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    heads: Heads = "model",
    input: Input = "model",  # noqa: A002 - the option's name
) -> Explanation:
    """Attention to each patch in the last block of the token that is read, mean over heads.

    The class token's; where the mean of tokens is read, the mean over their attention; where a
    learned query pools the tokens, that query's. It reads no target and explains no score.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token or class ids, of which nothing is read.
        interface: how the model is called.
        heads: those of the ``model``, or one over the full width, as the comparison in the
            ``released`` code of Grad-ECLIP takes it.
        input: the model's picture, or ``own-size``, at which that comparison runs.

    Returns:
        Maps (pairs, rows, columns) in [0, 1], summing to at most 1.

    Raises:
        ValueError: tokens are read in several ways.

    Source:
        The attention of the model; with ``heads=released`` and ``input=own-size`` the official code
        of Grad-ECLIP, `generate_emap.py`, ``selfattn``.
    """
    seen = eclip_block(model, images, targets, input, interface)
    if seen.alike is None:
        raise ValueError(
            "expected one way in which tokens are read, found the class token beside the mean of "
            "the others; take grad-attention or attention-logit-gradient, which weigh each of them"
        )
    attention = widen(seen.block.attention(seen.q, seen.k, heads=head_count(heads)))
    attention = attention[:, :, seen.alike]
    return Explanation(seen.on_grid(seen.patches(attention.mean((1, 2)))[seen.picture]))
