"""How few patches a saliency map rests on."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def sparseness(maps: Float[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Gini index of the size of a map's values: 0 where all are alike, near 1 where one stands out.

    Definition: the sum over values in rising order of (2·place - count - 1)·|value|, over count
    times the sum of |value|. Range: [0, 1 - 1/patches]; a map of zeros scores 0. Chance: 1/3 for
    uniform random values. No direction by itself: neither higher is better nor lower. Pitfalls: no
    quality, a single wrong patch is sparse; depends on the size of the grid and on the zero level
    of the map. Source: Chalasani et al., Concise Explanations of Neural Networks using Adversarial
    Training (ICML 2020).
    """
    sizes = maps.flatten(1).abs().sort(-1).values
    count = sizes.shape[-1]
    places = torch.arange(1, count + 1, device=maps.device, dtype=maps.dtype)
    total = sizes.sum(-1)
    weighted = ((2 * places - count - 1) * sizes).sum(-1)
    return torch.where(total > 0, weighted / (count * total).clamp(min=1e-30), 0.0)
