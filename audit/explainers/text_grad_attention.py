"""Gradient times attention of the last text block."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.text_pass import text_pairs_of, text_pass
from audit.models.model_under_audit import ModelInterface


def text_grad_attention(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs context"],
    *,
    interface: ModelInterface | None = None,
) -> Explanation:
    """Gradient times attention of the last text block on the model's own heads.

    Token i has ReLU(sum_h a_i^h dS/da_i^h) with a the attention of the end of the text.

    Returns:
        Token maps (pairs, context), at least 0, 0 outside the text; even maps of the pictures; the
        model's scores.

    Raises:
        UnknownAnatomyError: the text tower is not known.

    Source:
        As `audit.explainers.grad_attention`, in the text tower.
    """
    pairs = text_pairs_of(model, images, targets, interface)
    seen = text_pass(pairs, len(pairs.tower.blocks) - 1)
    a = seen.attention[0]
    found = widen(a).new_empty(targets.shape)
    for mine, (slope,) in seen.gradients(a):
        product = (widen(a.detach())[pairs.text[mine]] * slope).sum(1)
        rows = product[range(len(product)), pairs.end[pairs.text[mine]]]
        found[mine] = rows.relu()
    return pairs.explanation(found.detach(), seen.scores)
