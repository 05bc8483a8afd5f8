"""Gradient times attention on the model's own heads: the faithful control."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import attention_gradient, last_block, widen
from audit.models.model_under_audit import ModelInterface


def grad_attention(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
) -> Explanation:
    """Gradient times attention of the last block on the model's own heads.

    Map i is ReLU(sum_h a_i^h dS/da_i^h) with a the class token's attention: the true attention in
    the place of Grad-ECLIP's loosened one. The ReLU follows the sum over heads, and over the tokens
    that are read where those are more than the class token.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Source:
        Chefer, Gur and Wolf, "Generic Attention-model Explainability" (ICCV 2021), eq. 5, on the
        last layer, class-token row; there the ReLU precedes the mean over heads.
    """
    seen = last_block(model, images, targets, interface=interface)
    attention = seen.attention()
    scores, gradient = attention_gradient(seen, attention)
    relevance = (widen(attention)[seen.picture] * gradient).sum((1, 2))
    return Explanation(seen.on_grid(seen.patches(relevance).relu()), scores)
