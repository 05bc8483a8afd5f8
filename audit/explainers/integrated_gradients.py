"""Gradients integrated on the way from a picture without content to the picture."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
from audit.explainers.pixel_gradient import pixel_gradient
from audit.models.module_interface import ScoreInterface, interface_of


def integrated_gradients(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    steps: int = 50,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """Integrated gradients from the mean color: colors added, mean over each patch.

    Map is x times the mean of dS/dx at t x, t from 0 to 1, by Gauss-Legendre quadrature. Values add
    up to S(x) - S(0), up to the quadrature; the score of the mean color, which is 0 after
    preprocessing, is not 0 where the score is a cosine.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        steps: points of the quadrature.
        interface: how the model is called.

    Returns:
        Maps (pairs, rows, columns), signed, and the model's scores.

    Raises:
        ValueError: fewer than one step.

    Source:
        Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (ICML 2017).
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got steps={steps}")
    interface = interface or interface_of(model)
    points, weights = (
        torch.as_tensor(x, dtype=widen(images).dtype, device=images.device)
        for x in np.polynomial.legendre.leggauss(steps)
    )
    where = ((points + 1) / 2).to(images.dtype)
    slopes, scores = pixel_gradient(
        interface,
        model,
        images,
        targets,
        probe=lambda pictures, number: where[number, None, None, None] * pictures,
        weights=weights / 2,
    )
    relevance = (slopes * widen(images)).sum(1)
    return Explanation(patch_means(relevance, interface.patch_grid(model)), scores)
