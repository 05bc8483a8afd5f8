"""Grad-CAM++: Grad-CAM with a weight of its own for each place of a channel."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.activation_gradient import activation_gradient
from audit.explainers.contract import Explanation
from audit.models.module_interface import ScoreInterface


def grad_cam_plus_plus(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    layer: str | None = None,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """Grad-CAM++: the activation of Grad-CAM, its channels weighed by their positive gradients.

    Map is ReLU(sum_c w_c A_c), w_c = sum_ij alpha_cij ReLU(g_cij) with g the gradient of the score
    by A and alpha = g^2 / (2 g^2 + g^3 sum_ij A_cij), 0 where g is 0: the closed form for a score
    in an exponential. The activation is that of `grad_cam`.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        layer: dotted name of the module to take the activation of instead.
        interface: how the model is called.

    Returns:
        Maps (pairs, h, w) of the activation's size, at least 0, and the model's scores.

    Raises:
        ValueError: no such layer, or none that gives an activation with places.

    Source:
        Chattopadhay et al., "Grad-CAM++" (WACV 2018), equations 11 and 19.
    """
    seen = activation_gradient(model, images, targets, layer, interface)
    g, total = seen.slopes, seen.values.sum((2, 3), keepdim=True)[seen.picture]
    below = 2 + g * total
    alpha = torch.where((g == 0) | (below == 0), torch.zeros_like(g), 1 / below)
    return Explanation(seen.weighed((alpha * g.relu()).sum((2, 3), keepdim=True)), seen.scores)
