"""Does the relevance of a set of patches tell what the score loses when the set is removed?

The removals do not depend on the maps, so one round of passes (`subset_drops`) serves every
explainer of a model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from audit.metrics.fills import uniform
from audit.metrics.perturbation import AnyFill, Score, perturbation
from audit.metrics.similarity import pearson

SAMPLES = 50


@dataclass(frozen=True)
class SubsetDrops:
    """Random sets of patches of each pair and the drop in score when each set is removed."""

    subsets: Bool[Tensor, "n r p"]
    drops: Float[Tensor, "n r"]


def subset_drops(
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    grid: tuple[int, int],
    *,
    fill: AnyFill = "mean",
    samples: int = SAMPLES,
    shares: tuple[float, float] = (0.1, 0.5),
    generator: torch.Generator,
    batch_size: int = 128,
) -> SubsetDrops:
    """Remove ``samples`` random sets of patches from each picture, one picture at full at a time.

    Each set holds a share of the patches drawn evenly between ``shares``; sets of a few pixels, as
    in the original, change the score of a vision transformer by less than its rounding.
    """
    n, patches = len(images), grid[0] * grid[1]
    like = images.new_empty(0)
    low, high = shares
    size = uniform(torch.Size((n, samples)), like, generator) * (high - low) + low
    keys = uniform(torch.Size((n, samples, patches)), like, generator)
    count = (size * patches).round().clamp(1, patches)
    subsets = keys.argsort(-1).argsort(-1) < count[..., None]
    engine = perturbation(
        score, images, grid, fill=fill, generator=generator, batch_size=batch_size
    )
    empty = torch.zeros_like(subsets[:, :1])
    removed = torch.cat([empty, subsets], 1).view(n, samples + 1, *grid)
    scores = engine.scores(lambda pair, column: removed[pair, column], samples + 1)
    return SubsetDrops(subsets, scores[:, :1] - scores[:, 1:])


@dataclass(frozen=True)
class Infidelity:
    """Infidelity of each pair.

    Attributes:
        error: mean squared difference of drops and scaled relevance, in squared score units.
        share: the error over the mean squared drop, in [0, 1]: 1 where the map predicts nothing.
        scale: the factor for the map, after its largest magnitude was made 1.
    """

    error: Float[Tensor, " n"]
    share: Float[Tensor, " n"]
    scale: Float[Tensor, " n"]


def infidelity(maps: Float[Tensor, "n h w"], removed: SubsetDrops) -> Infidelity:
    """Infidelity with optimal scaling: E[(β IᵀA - Δf)²] for the best β that is not negative.

    IᵀA is the summed relevance of a removed set and Δf the drop in score. Range: the share is in
    [0, 1], lower is better. Chance: a constant map scores what the mere size of a set explains,
    which is the bar to beat, not 1. Pitfalls: the zero level of the map matters (see
    `faithfulness_correlation` for a measure without it); without the scaling maps that are not in
    units of the score lose whatever they show. Source: Yeh et al., On the (In)fidelity and
    Sensitivity of Explanations (NeurIPS 2019), equation 1 and their optimal scaling.
    """
    sums = _summed(maps, removed)
    along, length = (sums * removed.drops).sum(-1), sums.square().sum(-1)
    scale = torch.where(length > 0, along / length, 0.0).clamp(min=0)
    error = (scale[:, None] * sums - removed.drops).square().mean(-1)
    reference = removed.drops.square().mean(-1)
    return Infidelity(error, torch.where(reference > 0, error / reference, torch.nan), scale)


def faithfulness_correlation(
    maps: Float[Tensor, "n h w"], removed: SubsetDrops
) -> Float[Tensor, " n"]:
    """Correlation of the removed sets' summed relevance and the drop in score, size held fixed.

    The partial Pearson correlation given the number of patches in the set, so that neither the
    map's zero level nor the mere size of a set counts. Range: [-1, 1], higher is better; 1 for the
    patches' own effects where the score is linear. Chance: 0; NaN for a constant map. Pitfalls:
    rests on as many numbers as there are sets, so that 50 leave a standard error of 0.14. Source:
    Bhatt, Weller and Moura, Evaluating and Aggregating Feature-based Model Explanations (IJCAI
    2020), who remove sets of one size, a few pixels each.
    """
    size = removed.subsets.sum(-1).to(maps.dtype)
    constant = (maps.flatten(1) == maps.flatten(1)[:, :1]).all(-1)
    sums, drops = _less_size(_summed(maps, removed), size), _less_size(removed.drops, size)
    return torch.where(constant, torch.nan, pearson(sums, drops))


def _less_size(values: Float[Tensor, "n r"], size: Float[Tensor, "n r"]) -> Float[Tensor, "n r"]:
    """What is left of values after a straight line in the size of the sets."""
    values, size = (x - x.mean(-1, keepdim=True) for x in (values, size))
    length = size.square().sum(-1, keepdim=True)
    slope = torch.where(length > 0, (values * size).sum(-1, keepdim=True) / length, 0.0)
    return values - slope * size


def _summed(maps: Float[Tensor, "n h w"], removed: SubsetDrops) -> Float[Tensor, "n r"]:
    flat = maps.flatten(1) / maps.flatten(1).abs().amax(-1, keepdim=True).clamp(min=1e-30)
    return (removed.subsets.to(maps.dtype) @ flat[..., None])[..., 0]
