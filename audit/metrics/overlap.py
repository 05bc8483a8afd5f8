"""How well the outline of a saliency map fits the object: intersection over union, weighted F."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional

from audit.metrics.ranking import sort_descending

ThresholdRule = Literal["mean", "otsu", "best"]


def mask_iou(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"], rule: ThresholdRule
) -> Float[Tensor, " n"]:
    """Intersection over union of the mask and the patches at or above a threshold.

    Definition: the threshold is the map's ``mean``, the value that separates two classes of least
    variance (``otsu``, exact over the map's distinct values), or the one that gives the ``best``
    intersection over union, which has seen the mask. Range: [0, 1], higher is better. Chance: the
    prevalence, which a constant map scores under every rule, being taken as all foreground; random
    maps score near it under ``best`` and below it otherwise. NaN where the mask is empty or full.
    Pitfalls: the rule moves the value more than most explainers differ, so state it; ``mean``
    favors wide maps. Source: Chefer, Gur and Wolf (CVPR 2021) for ``mean``; Otsu (1979).
    """
    scores, truth = maps.flatten(1), masks.to(maps.dtype).flatten(1)
    known = (truth.sum(-1) > 0) & (truth.amin(-1) < 1) & ~scores.isnan().any(-1)
    s = sort_descending(scores)
    counts = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
    inside = truth.gather(-1, s.order).cumsum(-1)
    overlaps = inside / (counts + truth.sum(-1, keepdim=True) - inside)
    overlaps = overlaps.gather(-1, s.last)
    if rule == "best":
        return torch.where(known, overlaps.amax(-1), torch.nan)
    cut = _mean_cut(s.values) if rule == "mean" else _otsu_cut(s.values, counts)
    last = s.last.gather(-1, cut[:, None])
    return torch.where(known, overlaps.gather(-1, last)[:, 0], torch.nan)


def _mean_cut(values: Float[Tensor, "n p"]) -> Shaped[Tensor, " n"]:
    """Index of the last sorted value that is at or above the mean."""
    shifted = values - values[:, -1:]  # a constant map becomes exactly zero
    return (shifted >= shifted.mean(-1, keepdim=True)).sum(-1).clamp(min=1) - 1


def _otsu_cut(values: Float[Tensor, "n p"], counts: Float[Tensor, " p"]) -> Shaped[Tensor, " n"]:
    """Index after which two classes of largest variance between them part."""
    shifted = values - values[:, -1:]
    sums, total = shifted.cumsum(-1), shifted.sum(-1, keepdim=True)
    rest = (counts[-1] - counts).clamp(min=1)
    between = counts * rest * (sums / counts - (total - sums) / rest).square()
    splits = functional.pad(values[:, 1:] != values[:, :-1], (0, 1), value=False)
    cut = torch.where(splits, between, -1.0).argmax(-1)
    return torch.where(splits.any(-1), cut, values.shape[-1] - 1)


def weighted_f_measure(
    maps: Float[Tensor, "n h w"],
    masks: Shaped[Tensor, "n h w"],
    *,
    sigma: float = 5.0,
    width: int = 7,
    beta_squared: float = 1.0,
) -> Float[Tensor, " n"]:
    """Weighted F-measure: F of a graded map, forgiving errors near the object and among neighbors.

    Definition: the map is scaled to [0, 1] (a constant one counts as 1 everywhere); the error in
    the background is that of the nearest object cell before a Gaussian (``sigma``, ``width``)
    smooths it, on the object the smaller of raw and smoothed error counts; background errors weigh
    2 - exp(ln(.5)/5 · distance). Masks count from a coverage of one half. Range: [0, 1], higher is
    better. Chance: that of the constant map, which grows with the area. NaN where the mask is empty
    or full. Pitfalls: lengths are in cells of the grid, so values of 12 by 12 patches and of pixels
    do not compare; depends on the scaling; of equally near object cells the first by index counts.
    Source: Margolin, Zelnik-Manor and Tal, How to Evaluate Foreground Maps? (CVPR 2014).
    """
    truth = masks.to(maps.dtype) >= 0.5
    area = truth.flatten(1).sum(-1)
    known = (area > 0) & (area < truth[0].numel()) & ~maps.isnan().flatten(1).any(-1)
    error = (_unit_range(maps) - truth.to(maps.dtype)).abs()
    distance, nearest = _nearest_object(truth)
    smoothed = _smooth(error.flatten(1).gather(-1, nearest).view_as(error), sigma, width)
    weighted = torch.where(truth, torch.minimum(error, smoothed), error)
    weighted = weighted * torch.where(truth, 1.0, 2 - torch.exp2(-distance / 5))
    lost = (weighted * truth).flatten(1).sum(-1)
    false = (weighted * ~truth).flatten(1).sum(-1)
    recall, precision = 1 - lost / area, (area - lost) / (area - lost + false)
    value = (1 + beta_squared) * recall * precision / (recall + beta_squared * precision)
    value = torch.where(area - lost > 0, value, 0.0)
    return torch.where(known, value, torch.nan)


def _unit_range(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), 1.0)


def _nearest_object(
    truth: Bool[Tensor, "n h w"],
) -> tuple[Float[Tensor, "n h w"], Shaped[Tensor, "n p"]]:
    """Euclidean distance to the nearest object cell and its flat index, column by column first."""
    n, height, width = truth.shape
    y = torch.arange(height, device=truth.device, dtype=torch.float32)
    x = torch.arange(width, device=truth.device, dtype=torch.float32)
    far = torch.where(truth, 0.0, torch.inf).transpose(1, 2)  # n w h
    vertical, row = (far[:, :, None] + (y[:, None] - y).square()).min(-1)  # n w h
    across = vertical.transpose(1, 2)[:, :, None] + (x[:, None] - x).square()  # n h w w
    squared, column = across.min(-1)
    nearest = row.transpose(1, 2).gather(-1, column) * width + column
    return squared.sqrt(), nearest.reshape(n, height * width)


def _smooth(maps: Float[Tensor, "n h w"], sigma: float, width: int) -> Float[Tensor, "n h w"]:
    places = torch.arange(width, device=maps.device, dtype=maps.dtype) - (width - 1) / 2
    line = torch.exp(-places.square() / (2 * sigma * sigma))
    line = line / line.sum()
    kernel = (line[:, None] * line)[None, None]
    return functional.conv2d(maps[:, None], kernel, padding=width // 2)[:, 0]
