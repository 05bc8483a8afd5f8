"""Gradient of the score by the pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows, text_features
from audit.explainers.last_block import widen
from audit.models.anatomy import anatomy_of


def gradient(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
) -> Explanation:
    """Absolute gradient of the score by the pixels, largest color channel, mean over each patch.

    Each distinct picture runs forward once; its texts take turns in the backward pass.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Source:
        Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional Networks" (2013), section 3.1.
    """
    anatomy = anatomy_of(model)
    pictures, text = distinct_rows(images), text_features(anatomy, targets)
    turns = _turns(pictures.of, len(pictures.first))
    last = int(turns.max())
    maps = torch.empty(len(images), *anatomy.image.grid, device=images.device)
    maps = maps.to(widen(images).dtype)
    with torch.enable_grad():
        pixels = images.detach()[pictures.first].clone().requires_grad_()
        scores = (anatomy.image_features(pixels)[pictures.of] * text).sum(-1)
        for turn in range(last + 1):
            mine = turns == turn
            (slope,) = torch.autograd.grad(scores[mine].sum(), pixels, retain_graph=turn < last)
            pooled = functional.avg_pool2d(widen(slope).abs().amax(1), anatomy.image.patch_size)
            maps[mine] = pooled[pictures.of[mine]]
    return Explanation(maps, scores.detach())


def _turns(picture: Int[Tensor, " pairs"], pictures: int) -> Int[Tensor, " pairs"]:
    """For each pair the number of pairs before it that have the same picture."""
    mine = functional.one_hot(picture, pictures)
    return (mine.cumsum(dim=0) * mine).sum(dim=1) - 1
