"""How far a saliency map moves when its picture hardly does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.fills import uniform
from audit.metrics.similarity import relative_l2

Explain = Callable[[Float[Tensor, "n 3 H W"]], Float[Tensor, "n h w"]]
"""Maps of altered pictures, one for each pair in order, for the same targets."""


def max_sensitivity(
    explain: Explain,
    images: Float[Tensor, "n 3 H W"],
    maps: Float[Tensor, "n h w"],
    *,
    radius: float = 0.02,
    samples: int = 10,
    generator: torch.Generator,
) -> Float[Tensor, " n"]:
    """Largest relative change of the map over random pictures in the neighborhood of each picture.

    Range: [0, ∞), lower is better. Chance: none; an explainer that always draws the same map has 0,
    and one of random numbers about √2. Pitfalls: a map that never looks at the picture is the best
    of all, so read it beside faithfulness; a stochastic explainer shows its own noise. Source: Yeh
    et al., On the (In)fidelity and Sensitivity of Explanations (NeurIPS 2019), definition 2.

    Args:
        explain: the explainer; run ``samples`` times on all pairs.
        images: preprocessed pictures of the pairs.
        maps: of these pictures.
        radius: every value moves evenly by at most so much, in units of preprocessed pixels.
        samples: pictures drawn for each pair.
        generator: source of the moves.
    """
    worst = maps.new_zeros(len(maps))
    for _ in range(samples):
        moves = (2 * uniform(images.shape, images, generator) - 1) * radius
        found = explain(images + moves).to(maps)
        worst = torch.maximum(worst, relative_l2(maps, found))
    return worst
