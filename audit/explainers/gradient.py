"""Gradient of the score by the pixels."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.patches import patch_means
from audit.explainers.pixel_gradient import pixel_gradient
from audit.models.module_interface import ScoreInterface, interface_of


def gradient(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """Absolute gradient of the score by the pixels, largest color channel, mean over each patch.

    Each distinct picture runs forward once; its targets take turns in the backward pass.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Source:
        Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013), section 3.1.
    """
    interface = interface or interface_of(model)
    slopes, scores = pixel_gradient(interface, model, images, targets)
    return Explanation(patch_means(slopes.abs().amax(1), interface.patch_grid(model)), scores)
