"""Gradient of the score by the pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows, target_features, turns_of
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
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
    grid = interface.patch_grid(model)
    pictures, wanted = distinct_rows(images), target_features(interface, model, targets)
    turns = turns_of(pictures.of, len(pictures.first))
    last = int(turns.max())
    maps = torch.empty(len(images), *grid, device=images.device)
    maps = maps.to(widen(images).dtype)
    with torch.enable_grad():
        pixels = images.detach()[pictures.first].clone().requires_grad_()
        scores = (interface.features(model, pixels)[pictures.of] * wanted).sum(-1)
        for turn in range(last + 1):
            mine = turns == turn
            (slope,) = torch.autograd.grad(scores[mine].sum(), pixels, retain_graph=turn < last)
            maps[mine] = patch_means(widen(slope).abs().amax(1), grid)[pictures.of[mine]]
    return Explanation(maps, scores.detach())
