"""How well saliency maps point at the object: batched measures against masks on the same grid.

Every function takes maps and masks of shape (n, h, w) and returns one number per pair. A mask may
be fractional, the share of each patch that the object covers (`mask_on_grid`); the value is then
that of the map, repeated over each patch, against the mask in pixels. A pair whose mask is empty
or full, or whose map holds a NaN, has no answer: NaN, left to the caller to drop and count.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn import functional

from audit.metrics.ranking import sort_descending, top_weights


def mask_on_grid(
    masks: Shaped[Tensor, "n H W"], grid: tuple[int, int], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "n h w"]:
    """The share of each patch of ``grid`` (rows, columns) that a mask covers, in [0, 1]."""
    return functional.adaptive_avg_pool2d(masks.to(dtype)[:, None], grid)[:, 0]


def prevalence(masks: Shaped[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """The object's share of the picture's area, in [0, 1]: the chance level of most measures."""
    return _floating(masks).flatten(1).mean(-1)


def average_precision(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Average precision of a map as a ranking of the object's patches.

    Definition: the sum over distinct values of the map, largest first, of precision times gain in
    recall; equal values enter together, as in scikit-learn, so that their order never matters.
    Range: (0, 1], higher is better; 1 for a binary mask as its own map (the ceiling of a
    fractional mask is its own average precision). Chance: the prevalence, which a constant map
    scores exactly; maps without ties in random order score a little more on average, by about
    ln(patches)/patches, since the first hit never has precision zero: 0.03 on 12 by 12 patches.
    Pitfalls: sees the order only; grows with the object's area, so compare pairs by the
    chance-corrected form; grouping ties is pessimistic for maps with few distinct values.
    Source: scikit-learn, `average_precision_score`; Su, Yuan and Zhu (2015).
    """
    scores, truth, known = flat_maps_and_masks(maps, masks)
    s = sort_descending(scores)
    sorted_truth = truth.gather(-1, s.order)
    places = torch.arange(1, truth.shape[-1] + 1, device=truth.device)
    precision = (sorted_truth.cumsum(-1) / places).gather(-1, s.last)
    return _where_known((sorted_truth * precision).sum(-1) / truth.sum(-1), known)


def chance_corrected_average_precision(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Average precision with chance at 0 and the ceiling at 1: (AP - prevalence)/(1 - prevalence).

    Range: (-1, 1] for objects below half the picture, higher is better. Chance: 0. Pitfalls: those
    of `average_precision`, less its dependence on area. Source: the correction for chance of Cohen
    (1960), applied to `average_precision`.
    """
    chance = prevalence(masks.to(maps.dtype))
    return (average_precision(maps, masks) - chance) / (1 - chance)


def energy_in_mask(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Share of a map's positive relevance that lies in the mask.

    Range: [0, 1], higher is better. Chance: the prevalence; a map without any positive relevance
    tells nothing and scores it. Pitfalls: depends on the map's zero level and on any power of it;
    one bright patch in the object suffices for 1. Source: energy-based pointing game of Wang et
    al., Score-CAM (CVPRW 2020); relevance mass accuracy of Arras et al. (2022).
    """
    scores, truth, known = flat_maps_and_masks(maps, masks)
    energy = scores.clamp(min=0)
    total = energy.sum(-1)
    share = torch.where(total > 0, (energy * truth).sum(-1) / total, truth.mean(-1))
    return _where_known(share, known)


def energy_gain(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """`energy_in_mask` less the object's share of the area.

    Range: [-area, 1 - area], higher is better. Chance: 0. Pitfalls: those of `energy_in_mask`.
    Source: that of `energy_in_mask`; the subtraction is ours.
    """
    return energy_in_mask(maps, masks) - prevalence(masks.to(maps.dtype))


def grid_pointing(
    maps: Float[Tensor, "n h w"], cells: Shaped[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Share of a map's positive relevance that lies in the cells of its class in a grid.

    `energy_in_mask` of these cells. Range: [0, 1], higher is better. Chance: the cells' share of
    the grid, 1/n² for one of n × n. Pitfalls: those of `energy_in_mask`; a model may rightly use
    other cells as context, so that no value is a fault by itself. Source: the localization of the
    grid pointing game (Böhle, Fritz and Schiele, CVPR 2021); on mosaics with two cells a class it
    is Focus (Arias-Duart et al., FUZZ-IEEE 2022).
    """
    return energy_in_mask(maps, cells)


def pointing_game(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"], tolerance: float = 0.0
) -> Float[Tensor, " n"]:
    """Whether the maximum of a map hits the object, or comes within ``tolerance`` of it.

    Definition: the mask's value at the maximum, or the largest in the disc of radius ``tolerance``
    (in cells of the given grid: patches, or pixels where the maps are given in pixels; TorchRay
    uses 15 pixels of 224); tied maxima share the hit. Range: [0, 1], higher is better. Chance: the
    area of the mask widened by the tolerance, which a constant map scores.
    Pitfalls: rests on one patch; tolerance helps small objects most. Source: Zhang et al., Top-down
    Neural Attention by Excitation Backprop (IJCV 2018).
    """
    scores, _, known = flat_maps_and_masks(maps, masks)
    widened = _widen(_floating(masks).to(scores.dtype), tolerance).flatten(1)
    tied = (scores == scores.amax(-1, keepdim=True)).to(scores.dtype)
    return _where_known((tied * widened).sum(-1) / tied.sum(-1), known)


def relevance_rank_accuracy(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Share of the K most relevant patches that lie in the mask, K being the mask's area.

    Ties at the border share the places that are left. Range: [0, 1], higher is better; the ceiling
    of a fractional mask is below 1. Chance: the prevalence, which a constant map scores exactly.
    Pitfalls: blind to the order within and beyond the top K. Source: Arras, Osman and Samek,
    CLEVR-XAI (Information Fusion 2022).
    """
    scores, truth, known = flat_maps_and_masks(maps, masks)
    area = truth.sum(-1)
    return _where_known((top_weights(scores, area) * truth).sum(-1) / area, known)


def dual_polarity_precision(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Share of a map's relevance, by size, that is positive in the mask or negative outside.

    Range: [0, 1], higher is better; without negative values it is `energy_in_mask`. Chance: 0.5
    where signs are random; a map of zeros tells nothing and scores it. Pitfalls: those of
    `energy_in_mask`; a map that is negative nearly everywhere scores the background's share.
    Source: after Cedro and Chlebus (2026), of which only the abstract could be read: positive
    relevance belongs into the mask, and negative outside.
    """
    scores, truth, known = flat_maps_and_masks(maps, masks)
    right = (scores.clamp(min=0) * truth - scores.clamp(max=0) * (1 - truth)).sum(-1)
    total = scores.abs().sum(-1)
    return _where_known(torch.where(total > 0, right / total, 0.5), known)


def flat_maps_and_masks(
    maps: Float[Tensor, "n h w"], masks: Shaped[Tensor, "n h w"]
) -> tuple[Float[Tensor, "n p"], Float[Tensor, "n p"], Bool[Tensor, " n"]]:
    """Maps and masks by patch, and for which pairs there is something to localize."""
    if maps.shape != masks.shape:
        raise ValueError(
            f"expected maps and masks on one grid, got maps {tuple(maps.shape)} and masks "
            f"{tuple(masks.shape)}; bring the masks to the maps' grid with mask_on_grid"
        )
    scores = maps.flatten(1)
    truth = masks.to(scores.dtype).flatten(1)
    area = truth.sum(-1)
    known = (area > 0) & (area < truth.shape[-1]) & ~scores.amax(-1).isnan()
    return scores, truth, known


def _where_known(values: Float[Tensor, " n"], known: Bool[Tensor, " n"]) -> Float[Tensor, " n"]:
    return torch.where(known, values, torch.nan)


def _floating(masks: Shaped[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    return masks if masks.is_floating_point() else masks.to(torch.get_default_dtype())


def _widen(masks: Float[Tensor, "n h w"], radius: float) -> Float[Tensor, "n h w"]:
    """Largest value within a disc, as a maximum over the rows of the disc."""
    height, rows = masks.shape[-2], math.floor(radius)
    if rows < 1:
        return masks
    widened = masks
    for offset in range(-min(rows, height - 1), min(rows, height - 1) + 1):
        half = math.isqrt(math.floor(radius * radius - offset * offset))
        row = functional.max_pool2d(masks, (1, 2 * half + 1), stride=1, padding=(0, half))
        shifted = functional.pad(row, (0, 0, max(offset, 0), max(-offset, 0)))
        start = max(-offset, 0)
        widened = torch.maximum(widened, shifted[:, start : start + height])
    return widened
