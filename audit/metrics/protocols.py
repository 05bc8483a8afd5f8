"""The perturbation protocols of the literature, as presets for the one engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.faithfulness import Curves, area_under_curve, removal_curves
from audit.metrics.fills import CLIP_MEAN, CLIP_STD, Fill
from audit.metrics.imputation import NoisyLinear
from audit.metrics.perturbation import Score, perturbation_curves


@dataclass(frozen=True)
class Protocol:
    """Fractions and fills of a deletion and an insertion curve.

    Attributes:
        deletion: fractions removed, most relevant first.
        deletion_fill: what replaces them.
        insertion: fractions put back, most relevant first.
        insertion_fill: what they are put onto.
    """

    deletion: tuple[float, ...]
    deletion_fill: Fill
    insertion: tuple[float, ...]
    insertion_fill: Fill


def rise(steps: int = 224) -> Protocol:
    """RISE: all of the picture in equal steps, deletion to the data's mean, insertion from a blur.

    The blur is theirs, 11 pixels wide with sigma 5. They score the softmax probability of the class
    that the untouched picture is given, and order single pixels of the enlarged map; a map on its
    patch grid is perturbed patch by patch, each distinct count once. Source: Petsiuk, Das and
    Saenko, RISE (BMVC 2018), ``evaluation.py``.
    """
    fractions = tuple(i / steps for i in range(steps + 1))
    return Protocol(fractions, Fill("dataset-mean"), fractions, Fill("blur", sigma=5.0, width=11))


def grad_eclip(
    mean: tuple[float, float, float] = CLIP_MEAN, std: tuple[float, float, float] = CLIP_STD
) -> Protocol:
    """Grad-ECLIP: the first half in steps of 5 %, noise for deletion, black for insertion.

    They score top-1, top-5 and top-10 accuracy, so pass a score of 0 or 1. Deletion is read at 0,
    5, …, 50 % and insertion at 5, …, 50 and 100 %, where the last is the untouched picture. Here
    the map is ordered on the picture that the model sees; theirs is ordered before the center crop,
    which spends part of the budget on pixels that are cut off. Source: Zhao et al., Grad-ECLIP
    (2025), ``imagenet_eval_deletion.py`` and ``imagenet_eval_insertion.py``.
    """
    steps = tuple(i / 20 for i in range(1, 11))
    noise, black = Fill("noise", mean, std), Fill("black", mean, std)
    return Protocol((0.0, *steps), noise, (*steps, 1.0), black)


@dataclass(frozen=True)
class ProtocolScores:
    """Both curves of a protocol, (n, fractions), and their areas over the fractions scored."""

    deletion_curve: Float[Tensor, "n d"]
    insertion_curve: Float[Tensor, "n i"]
    deletion: Float[Tensor, " n"]
    insertion: Float[Tensor, " n"]


def run_protocol(
    protocol: Protocol,
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    maps: Float[Tensor, "n h w"],
    *,
    generator: torch.Generator,
    batch_size: int = 128,
) -> ProtocolScores:
    """Deletion and insertion of a protocol, with its own fills (see `perturbation_curves`)."""
    deleted = perturbation_curves(
        score,
        images,
        maps,
        order="morf",
        fill=protocol.deletion_fill,
        fractions=protocol.deletion,
        generator=generator,
        batch_size=batch_size,
    )
    inserted = perturbation_curves(
        score,
        images,
        maps,
        order="morf",
        start="fill",
        fill=protocol.insertion_fill,
        fractions=protocol.insertion,
        generator=generator,
        batch_size=batch_size,
    )
    deletion = area_under_curve(deleted, maps.new_tensor(protocol.deletion))
    insertion = area_under_curve(inserted, maps.new_tensor(protocol.insertion))
    return ProtocolScores(deleted, inserted, deletion, insertion)


def road(
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    maps: Float[Tensor, "n h w"],
    *,
    fractions: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    imputation: NoisyLinear | None = None,
    generator: torch.Generator,
    batch_size: int = 128,
) -> Curves:
    """ROAD: both orders of removal under noisy linear imputation, without retraining.

    Rong et al. score accuracy, so pass a score of 0 or 1. Range: that of the score; for MoRF lower
    is better, for LeRF higher is better. Chance: both curves agree. Pitfalls: where whole patches
    go, the imputation is a smooth blur of their surroundings. The area of a smooth score's curve
    through every count of patches takes a third of the passes with `NoisyLinear` as the fill of
    `audit.metrics.adaptive.adaptive_curves`. Source: see `audit.metrics.imputation.NoisyLinear`.
    """
    return removal_curves(
        score,
        images,
        maps,
        fill=imputation or NoisyLinear(),
        fractions=fractions,
        generator=generator,
        batch_size=batch_size,
    )
