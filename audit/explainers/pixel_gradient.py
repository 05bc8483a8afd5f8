"""Gradients of the score by the pixels, at each picture or at probes made from it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.distinct import distinct_rows, target_features
from audit.explainers.last_block import widen
from audit.explainers.probed_features import probes
from audit.explainers.turns import gradients_in_turns
from audit.models.module_interface import ScoreInterface

Probe = Callable[[Tensor, Tensor], Tensor]
"""From pictures (rows, 3, H, W) and the number of each row's probe (rows,) to what is run."""


def _the_picture(pictures: Tensor, number: Tensor) -> Tensor:
    del number
    return pictures


def pixel_gradient(
    interface: ScoreInterface,
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    probe: Probe = _the_picture,
    weights: Float[Tensor, " probes"] | None = None,
) -> tuple[Float[Tensor, "pairs 3 H W"], Float[Tensor, " pairs"]]:
    """Weighted sum over probes of the gradient of the score by the probe's pixels.

    Each distinct picture's probes run forward once; its targets take turns in the backward pass.

    Args:
        interface: how the model is called.
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        probe: makes what is run; default the picture itself.
        weights: of the probes of a picture, in order; default one probe of weight 1.

    Returns:
        The sum, and the model's scores: of the pictures themselves.
    """
    pictures, wanted = distinct_rows(images), target_features(interface, model, targets)
    distinct = images.detach()[pictures.first]
    at_pictures = weights is None
    weights = widen(images).new_ones(1) if weights is None else weights
    total, order, scores = torch.zeros_like(widen(images)), [], []
    if not at_pictures:
        with torch.no_grad():
            own = (interface.features(model, distinct)[pictures.of] * wanted).sum(-1)
    for of, number in probes(len(distinct), len(weights), images.device):
        pair, row = (pictures.of[:, None] == of).nonzero(as_tuple=True)
        with torch.enable_grad():
            pixels = probe(distinct[of], number).clone().requires_grad_()
            here = (interface.features(model, pixels)[row] * wanted[pair]).sum(-1)
            for mine, (slopes,) in gradients_in_turns(here, [pixels], row):
                weighted = widen(slopes) * weights[number[row[mine]], None, None, None]
                total.index_add_(0, pair[mine], weighted)
        order.append(pair)
        scores.append(here.detach())
    if at_pictures:
        own = torch.cat(scores)[torch.cat(order).argsort()]
    return total, own
