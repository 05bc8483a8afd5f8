"""Grad-CAM on the last feature map or the last tokens that move the score."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.activation_gradient import activation_gradient
from audit.explainers.contract import Explanation
from audit.explainers.eclip import Heads
from audit.explainers.released_grad_cam import released_grad_cam
from audit.models.model_under_audit import ModelInterface


def grad_cam(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    layer: str | None = None,
    heads: Heads = "model",
    interface: ModelInterface | None = None,
) -> Explanation:
    """Grad-CAM: the last activation with places, its channels weighed by their mean gradient.

    Map is ReLU(sum_c w_c A_c), w_c the mean over places of dS/dA_c. The activation A is the last
    feature map of a module with more than one place, or the last tokens of a block, less those
    before the patches, through which the score flows. Where only the class token is read, these are
    the tokens that enter the last block: its own patches move no score. Each distinct picture runs
    forward once; its targets take turns in the backward pass.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        layer: dotted name of the module to take the activation of instead.
        heads: the ``model``'s own, or ``released``: that of Grad-ECLIP's comparison, see
            `audit.explainers.released_grad_cam`.
        interface: how the model is called.

    Returns:
        Maps (pairs, h, w) of the activation's size, at least 0, and the model's scores.

    Raises:
        ValueError: no such layer, or none that gives an activation with places; a layer with
            ``heads=released``.

    Source:
        Selvaraju et al., "Grad-CAM" (ICCV 2017), equations 1 and 2.
    """
    if heads == "released":
        if layer is not None:
            raise ValueError(
                f"expected no layer with heads=released, which takes what enters the last block, "
                f"got layer={layer}"
            )
        return released_grad_cam(model, images, targets, interface)
    seen = activation_gradient(model, images, targets, layer, interface)
    return Explanation(seen.weighed(seen.slopes.mean((2, 3), keepdim=True)), seen.scores)
