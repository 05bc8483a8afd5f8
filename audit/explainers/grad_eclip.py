"""Grad-ECLIP as released, and its variants."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.eclip import (
    Heads,
    Input,
    Weight,
    eclip_block,
    head_count,
    loosened_attention,
)
from audit.explainers.last_block import score_gradient, widen
from audit.models.model_under_audit import ModelInterface


def grad_eclip(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    weight: Weight = "projected",
    heads: Heads = "released",
    input: Input = "model",  # noqa: A002 - the option's name
    interface: ModelInterface | None = None,
) -> Explanation:
    """Grad-ECLIP: channel gradients of the score at the class token's attention output.

    Map i is ReLU(sum_c g_c v_ic lambda_i) with g the gradient of the cosine score at the
    concatenated head output before `out_proj`, v the values and lambda the loosened attention. The
    released code computes the last block with one head, so the score explained is not the model's.
    The text feature is the model's own, as in the released image code. Where more tokens are read
    than the class token, the sum is over them as well.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        weight: lambda from ``projected`` or ``raw`` queries and keys, or ``none`` (all 1).
        heads: ``released`` (one head) or the ``model``'s own.
        input: the ``model``'s picture size, or ``own-size``, see `audit.explainers.eclip.own_size`.
        interface: how the model is called.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the scores explained.

    Source:
        Zhao et al., "Gradient-based Visual Explanation for Transformer-based CLIP" (ICML 2024;
        arXiv 2502.18816); official code `generate_emap.py`.
    """
    seen = eclip_block(model, images, targets, input, interface)
    attention = seen.block.attention(seen.q, seen.k, heads=head_count(heads))
    output = seen.block.mix_values(attention, seen.v)
    scores, gradient = score_gradient(seen.scores, output[seen.picture])
    values = widen(seen.v)[seen.picture, seen.prefix :]
    relevance = widen(gradient) @ values.mT
    weights = loosened_attention(seen, weight)[seen.picture]
    return Explanation(seen.on_grid((relevance * weights).sum(dim=1).relu()), scores)
