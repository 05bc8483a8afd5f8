"""The picture times the gradient of the score by it."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
from audit.explainers.pixel_gradient import pixel_gradient
from audit.models.module_interface import ScoreInterface, interface_of


def input_x_gradient(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """Input times gradient: pixels times the score's gradient, colors added, mean over each patch.

    Of a model that is linear in its pixels the values add up to the score less that of the mean
    color, which is 0 after preprocessing.

    Returns:
        Maps (pairs, rows, columns), signed, and the model's scores.

    Source:
        Shrikumar et al., "Not Just a Black Box" (2016), section 2.
    """
    interface = interface or interface_of(model)
    slopes, scores = pixel_gradient(interface, model, images, targets)
    relevance = (slopes * widen(images)).sum(1)
    return Explanation(patch_means(relevance, interface.patch_grid(model)), scores)
