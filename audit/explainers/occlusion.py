"""Drop of the score when a window of patches is painted over."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows, target_features
from audit.explainers.last_block import widen
from audit.explainers.patches import windows
from audit.explainers.probed_features import probed_features
from audit.models.module_interface import ScoreInterface, interface_of


@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    window: Literal[1, 2, 3, 4] = 2,
    interface: ScoreInterface | None = None,
) -> Explanation:
    """Drop of the score when a window of patches shows the mean color, mean over covering windows.

    The window moves by one patch; the mean color is 0 after preprocessing. Occluded features are
    computed once for each distinct picture, in batches of bounded size: only the target differs.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids of texts, or class ids.
        window: side of the window in patches.
        interface: how the model is called.

    Returns:
        Maps (pairs, rows, columns), signed, in units of the score, and the model's scores.

    Raises:
        ValueError: where the window is larger than the patch grid.

    Source:
        Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014).
    """
    interface = interface or interface_of(model)
    rows, columns = interface.patch_grid(model)
    if window > min(rows, columns):
        raise ValueError(
            f"expected an occlusion window of at most {min(rows, columns)} patches, got {window}; "
            f"the patch grid is {rows}x{columns}: choose a smaller window"
        )
    pictures, wanted = distinct_rows(images), target_features(interface, model, targets)
    distinct = images[pictures.first]
    scores = (interface.features(model, distinct)[pictures.of] * wanted).sum(-1)
    size = (images.shape[-2], images.shape[-1])
    hidden = windows(size, (rows, columns), window, images.device)
    features = probed_features(
        partial(interface.features, model),
        lambda of, number: distinct[of].masked_fill(hidden[number, None], 0),
        len(distinct),
        len(hidden),
        images.device,
    )
    left = torch.einsum("pwe,pe->pw", features[pictures.of], wanted)
    drops = widen(scores[:, None] - left)
    drops = drops.reshape(-1, rows - window + 1, columns - window + 1)
    return Explanation(_mean_of_covering(drops, window), scores)


def _mean_of_covering(
    drops: Float[Tensor, "pairs y x"], window: int
) -> Float[Tensor, "pairs rows columns"]:
    """For each patch the mean over the windows that cover it."""
    kernel = drops.new_ones(1, 1, window, window)
    total = functional.conv_transpose2d(drops[:, None], kernel)
    count = functional.conv_transpose2d(torch.ones_like(drops[:1, None]), kernel)
    return (total / count)[:, 0]
