"""Grad-CAM on the last feature map or the last tokens that move the score."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows, target_features, turns_of
from audit.explainers.last_block import widen
from audit.explainers.spatial_activation import chosen_activation, outputs_kept
from audit.models.module_interface import ScoreInterface, interface_of


def grad_cam(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    layer: str | None = None,
    interface: ScoreInterface | None = None,
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
        interface: how the model is called.

    Returns:
        Maps (pairs, h, w) of the activation's size, at least 0, and the model's scores.

    Raises:
        ValueError: no such layer, or none that gives an activation with places.

    Source:
        Selvaraju et al., "Grad-CAM" (ICCV 2017), equations 1 and 2.
    """
    interface = interface or interface_of(model)
    pictures, wanted = distinct_rows(images), target_features(interface, model, targets)
    turns = turns_of(pictures.of, len(pictures.first))
    last = int(turns.max())
    with torch.enable_grad():
        pixels = images.detach()[pictures.first].clone().requires_grad_()
        with outputs_kept(model, layer) as outputs:
            features = interface.features(model, pixels)
        scores = (features[pictures.of] * wanted).sum(-1)
        grid = interface.patch_grid(model)
        seen = chosen_activation(outputs, pixels, grid, scores[turns == 0].sum())
        del outputs
        values = widen(seen.on_grid(seen.value.detach()))
        maps = values.new_empty(len(images), *seen.grid)
        for turn in range(last + 1):
            mine = turns == turn
            (slope,) = torch.autograd.grad(scores[mine].sum(), seen.value, retain_graph=turn < last)
            weights = widen(seen.on_grid(slope)).mean((2, 3), keepdim=True)
            maps[mine] = (weights * values).sum(1).relu()[pictures.of[mine]]
    return Explanation(maps, scores.detach())
