"""Gradient of the score by the attention logits of the last block."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import attention_gradient, last_block, widen
from audit.models.model_under_audit import ModelInterface


def attention_logit_gradient(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
) -> Explanation:
    """Gradient of the score by the class token's attention logits, summed over the model's heads.

    Map i is sum_h a_i^h (dS/da_i^h - sum_j a_j^h dS/da_j^h), signed. Unlike dS/da it stays put when
    a constant is moved from the value bias to the output bias, which leaves the model's function as
    it is.

    Returns:
        Maps (pairs, rows, columns), signed, and the model's scores.

    Source:
        The chain rule through the softmax.
    """
    seen = last_block(model, images, targets, interface=interface)
    attention = seen.attention()
    scores, gradient = attention_gradient(seen, attention)
    a = widen(attention)[seen.picture]
    relevance = a * (gradient - (a * gradient).sum(dim=-1, keepdim=True))
    return Explanation(seen.on_grid(seen.patches(relevance.sum((1, 2)))), scores)
