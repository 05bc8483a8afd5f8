"""Score-CAM: each channel of an activation as a mask, weighed by the score under it."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.activation_gradient import activation_pass
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.probed_features import probed_features
from audit.models.module_interface import ScoreInterface, interface_of


def score_cam(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    layer: str | None = None,
    weights: Literal["softmax", "increase"] = "softmax",
    interface: ScoreInterface | None = None,
) -> Explanation:
    """Score-CAM: an activation's channels, weighed by the score of the picture masked by each.

    Map is ReLU(sum_c w_c A_c) with A of `grad_cam`. A channel is enlarged to the picture and scaled
    to [0, 1] (0 where it is even), and multiplied with it; w is the softmax of the scores of these
    pictures over the channels, or their increase over that of the mean color.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        layer: dotted name of the module to take the activation of instead.
        weights: ``softmax`` of the scores, or their ``increase``.
        interface: how the model is called.

    Returns:
        Maps (pairs, h, w) of the activation's size, at least 0, and the model's scores.

    Raises:
        ValueError: no such layer, or none that gives an activation with places.

    Source:
        Wang et al., "Score-CAM" (CVPR Workshops 2020), definitions 2 and 3, algorithm 1.
    """
    interface = interface or interface_of(model)
    run = activation_pass(model, images, targets, layer, interface)
    distinct, values, wanted = run.images, run.values, run.wanted
    with torch.no_grad():
        masks = scaled_to_picture(values, (images.shape[-2], images.shape[-1])).to(images.dtype)
        masked = probed_features(
            partial(interface.features, model),
            lambda of, number: distinct[of] * masks[of, number, None],
            len(values),
            values.shape[1],
            images.device,
        )
        each = widen(torch.einsum("pce,pe->pc", masked[run.picture], wanted))
        if weights == "softmax":
            each = each.softmax(1)
        else:
            empty = interface.features(model, torch.zeros_like(distinct[:1]))
            each = each - widen((empty * wanted).sum(-1, keepdim=True))
        maps = (each[:, :, None, None] * values[run.picture]).sum(1).relu()
    return Explanation(maps, run.scores.detach())


def scaled_to_picture(
    maps: Float[Tensor, "pictures channels h w"], size: tuple[int, int]
) -> Float[Tensor, "pictures channels H W"]:
    """Maps enlarged bilinearly and scaled to [0, 1] each; 0 where a map is even."""
    large = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    low, high = (x[:, :, None, None] for x in large.flatten(2).aminmax(dim=2))
    return (large - low) / (high - low).clamp_min(torch.finfo(large.dtype).tiny)
