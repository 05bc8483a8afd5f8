"""ARCC: one number out of coherency, complexity and faithfulness under ROAD."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from audit.metrics.faithfulness import removal_curves
from audit.metrics.imputation import NoisyLinear
from audit.metrics.perturbation import Score
from audit.metrics.sensitivity import Explain
from audit.metrics.similarity import pearson


def arcc(
    probability: Score,
    explain: Explain,
    images: Float[Tensor, "n 3 H W"],
    maps: Float[Tensor, "n h w"],
    *,
    generator: torch.Generator,
    batch_size: int = 128,
) -> Float[Tensor, " n"]:
    """Harmonic mean of coherency, 1 less complexity, and twice ROAD's combined score.

    With the map scaled to [0, 1]: coherency is (1 + r)/2, r being the Pearson correlation of the
    map with that of the picture times the map; complexity is the map's mean; ROAD's combined score
    is half of what the curve of least relevant first lies above that of most relevant first, on
    average over 20, 40, 60 and 80 %, clipped to [0, 1] when doubled. Range: [0, 1], higher is
    better; 0 where any part is. Chance: near 0, for want of ROAD. NaN for a constant map, which
    correlates with nothing. Pitfalls: rewards small maps; a picture times a map is far from any
    picture. Source: Domeniconi et al., How to Evaluate and Refine your CAM (arXiv 2605.14641, 2026)
    and their code, which computes the harmonic mean.

    Args:
        probability: of the pair's class, told which pair each picture belongs to.
        explain: the explainer; run once on all pairs.
        images: preprocessed pictures of the pairs.
        maps: of these pictures.
        generator: source of the order of ties and of ROAD's noise.
        batch_size: pictures per call of ``probability``.
    """
    size = (images.shape[-2], images.shape[-1])
    scaled = _unit(maps)
    large = functional.interpolate(scaled[:, None], size, mode="bilinear", align_corners=False)
    again = _unit(explain(images * large.to(images)).to(maps))
    coherency = (1 + pearson(scaled, again)) / 2
    curves = removal_curves(
        probability,
        images,
        maps,
        fill=NoisyLinear(),
        fractions=(0.2, 0.4, 0.6, 0.8),
        generator=generator,
        batch_size=batch_size,
    )
    road = (curves.lerf - curves.morf)[:, 1:-1].mean(-1).clamp(0, 1).to(coherency)
    return harmonic_mean(torch.stack([coherency, 1 - scaled.flatten(1).mean(-1), road], -1))


def harmonic_mean(parts: Float[Tensor, "n parts"]) -> Float[Tensor, " n"]:
    """Of numbers in [0, 1]; 0 where one is, NaN where one is NaN."""
    found = parts.shape[-1] / (1 / parts).sum(-1)
    return torch.where((parts <= 0).any(-1) & ~parts.isnan().any(-1), 0.0, found)


def _unit(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Each map from its least value to its largest, as 0 to 1; a constant one as 0."""
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low), 0.0)
