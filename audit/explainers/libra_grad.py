"""LibraGrad: input times a gradient that is made to add up."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import pairs_of
from audit.explainers.conservative_pass import ruled_relevance
from audit.explainers.contract import Explanation
from audit.explainers.patches import patch_means
from audit.models.model_under_audit import ModelInterface


def libra_grad(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
) -> Explanation:
    """LibraGrad: pixels times a gradient for which attention, norms and gates are constants.

    The forward pass is the model's own. Backward, attention weights, the deviation in LayerNorm,
    the gate f(x)/x of an activation and the length of the feature are taken as constants, so that
    values and the parts of biases add up to the score. Colors are added, mean over each patch.

    Returns:
        Maps (pairs, rows, columns), signed, and the model's scores.

    Source:
        Mehri et al., "LibraGrad" (CVPR 2025), section 4; with input times gradient.
    """
    pairs = pairs_of(model, images, targets, interface)
    relevance, scores = ruled_relevance(pairs, "constant")
    return Explanation(patch_means(relevance.sum(1), pairs.tower.grid), scores)
