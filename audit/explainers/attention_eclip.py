"""Attention-ECLIP: Grad-ECLIP as the attention-gradient method that it is."""

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
from audit.explainers.last_block import attention_gradient
from audit.models.model_under_audit import ModelInterface


def attention_eclip(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    weight: Weight = "projected",
    heads: Heads = "released",
    input: Input = "model",  # noqa: A002 - the option's name
    interface: ModelInterface | None = None,
) -> Explanation:
    """Attention-ECLIP: gradients of the score by the class token's attention, loosely weighted.

    Map i is ReLU(lambda_i sum_h dS/da_i^h). Since o = concat_h sum_i a_i^h v_i^h, the sum over
    heads of dS/da_i^h is sum_c g_c v_ic: the map of `grad_eclip` with the same options.

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
        Cui and Fan, "Debunking Grad-ECLIP" (arXiv 2605.12952).
    """
    seen = eclip_block(model, images, targets, input, interface)
    attention = seen.block.attention(seen.q, seen.k, heads=head_count(heads))
    scores, gradient = attention_gradient(seen, attention)
    weights = loosened_attention(seen, weight)[seen.picture]
    relevance = seen.patches(gradient.sum(dim=1)) * weights
    return Explanation(seen.on_grid(relevance.sum(dim=1).relu()), scores)
