"""AttnLRP: relevance propagated through attention, as an input times a changed gradient."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import pairs_of
from audit.explainers.conservative_pass import ruled_relevance
from audit.explainers.contract import Explanation
from audit.explainers.patches import patch_means
from audit.models.model_under_audit import ModelInterface


def attn_lrp(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    attention: Literal["shared", "constant"] = "shared",
) -> Explanation:
    """AttnLRP: pixels times a gradient changed to the rules of relevance propagation.

    The forward pass is the model's own. Backward, the deviation in LayerNorm, the gate f(x)/x of an
    activation and the length of the feature are constants; products of two activations share
    relevance evenly. Linear layers keep their gradient (the rule with epsilon 0), so that the
    Gamma rule, which the released code adds for vision, is not among this. Colors are added, mean
    over each patch.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        attention: ``shared`` evenly, a quarter for queries and keys each and half for values, or
            ``constant`` weights (the CP rule): then the map is that of `libra_grad`.

    Returns:
        Maps (pairs, rows, columns), signed, and the model's scores.

    Source:
        Achtibat et al., "AttnLRP" (ICML 2024), section 3, in the efficient form of the released
        library LXT.
    """
    pairs = pairs_of(model, images, targets, interface)
    relevance, scores = ruled_relevance(pairs, attention)
    return Explanation(patch_means(relevance.sum(1), pairs.tower.grid), scores)
