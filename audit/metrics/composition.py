"""How the map of a joined text is made of the maps of its parts, and where maps disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

from audit.metrics.ranking import average_ranks


@dataclass(frozen=True)
class Composition:
    """A map as a sum of others.

    Attributes:
        weights: of each part, at least 0, all maps at length one.
        explained: share of the whole's squared values that the sum explains, from 0 to 1.
        rest: the whole at length one less the sum: positive where the whole has more.
    """

    weights: tuple[float, ...]
    explained: float
    rest: Float[Tensor, "h w"]


def decomposed(whole: Float[Tensor, "h w"], parts: Sequence[Float[Tensor, "h w"]]) -> Composition:
    """The sum of parts with weights of at least 0 that is nearest to the whole (least squares).

    Maps count at length one, since explainers fix no scale. A map of zeros has weight 0, and of a
    whole of zeros nothing is left to explain.

    Args:
        whole: the map of the joined text.
        parts: the maps of its parts.
    """
    target = _unit(whole).flatten().double().numpy()
    columns = np.stack([_unit(part).flatten().double().numpy() for part in parts], 1)
    weights, _ = nnls(columns, target)
    rest = target - columns @ weights
    length = float(target @ target)
    explained = 1.0 - float(rest @ rest) / length if length else 1.0
    shape = whole.shape
    return Composition(tuple(weights.tolist()), explained, torch.from_numpy(rest).reshape(shape))


def disagreement(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "h w"]:
    """Standard deviation of each place's rank over several maps, ranks from 0 to 1.

    Range: [0, 0.5]; 0 where all maps rank the place alike. Tied values share their mean rank.
    """
    flat = maps.flatten(1)
    ranks = (average_ranks(flat) - 1) / max(flat.shape[1] - 1, 1)
    return ranks.std(0, correction=0).reshape(maps.shape[1:])


def _unit(values: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    length: Tensor = values.norm()
    return values / length.clamp_min(torch.finfo(values.dtype).tiny)
