"""Gradients averaged over noisy copies of the picture."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.patches import patch_means
from audit.explainers.pixel_gradient import pixel_gradient
from audit.models.module_interface import ScoreInterface, interface_of


def smooth_grad(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """SmoothGrad: mean gradient over noisy pictures, its largest color, mean over each patch.

    The noise is Gaussian; its standard deviation is a share of the picture's own range, and the
    same draws serve every picture, so that a map does not depend on its neighbors in the batch.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        samples: noisy copies of a picture.
        noise: standard deviation as a share of the picture's maximum less its minimum; 0 gives the
            map of `gradient`.
        seed: of the draws.
        interface: how the model is called.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Raises:
        ValueError: fewer than one sample.

    Source:
        Smilkov et al., "SmoothGrad: removing noise by adding noise" (2017), sections 2 and 3.
    """
    if samples < 1:
        raise ValueError(f"expected at least 1 sample, got samples={samples}")
    interface = interface or interface_of(model)
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(samples, *images.shape[1:], generator=generator)
    draws = draws.to(images.device, images.dtype)

    def noisy(pictures: Tensor, number: Tensor) -> Tensor:
        low, high = pictures.flatten(1).aminmax(dim=1)
        return pictures + noise * (high - low)[:, None, None, None] * draws[number]

    weights = widen(images).new_full((samples,), 1 / samples)
    slopes, scores = pixel_gradient(interface, model, images, targets, probe=noisy, weights=weights)
    return Explanation(patch_means(slopes.abs().amax(1), interface.patch_grid(model)), scores)
