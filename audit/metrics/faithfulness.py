"""Measures of faithfulness, read off the two curves of an order of removal.

Curves hold scores (n, k) at removed fractions x (k,) that rise from 0 to 1. Scores may be cosines,
probabilities, margins or 0/1 correctness: the measures are linear in them, so per-pair values may
be averaged; only the normalized form is a ratio, to be taken of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.fills import uniform
from audit.metrics.perturbation import AnyFill, Score, patch_counts, perturbation, removal_ranks


@dataclass(frozen=True)
class Curves:
    """Scores while patches are removed, most relevant first and least relevant first.

    Attributes:
        removed: fractions of the patches that were really removed, rising from 0 to 1.
        morf: scores, most relevant first.
        lerf: scores, least relevant first.
    """

    removed: Float[Tensor, " k"]
    morf: Float[Tensor, "n k"]
    lerf: Float[Tensor, "n k"]

    @property
    def full(self) -> Float[Tensor, " n"]:
        """Score of the untouched picture."""
        return self.morf[:, 0]

    @property
    def empty(self) -> Float[Tensor, " n"]:
        """Score of the fill alone."""
        return self.morf[:, -1]

    @property
    def deletion(self) -> Float[Tensor, " n"]:
        """`deletion_auc` of these curves."""
        return deletion_auc(self.morf, self.removed)

    @property
    def insertion(self) -> Float[Tensor, " n"]:
        """`insertion_auc` of these curves, onto the same fill."""
        return insertion_auc(self.lerf.flip(-1), 1 - self.removed.flip(-1))

    @property
    def gap(self) -> Float[Tensor, " n"]:
        """`area_between_curves`, which equals insertion minus deletion."""
        return area_between_curves(self.morf, self.lerf, self.removed)


def removal_curves(
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    maps: Float[Tensor, "n h w"],
    *,
    fill: AnyFill = "mean",
    fractions: Sequence[float],
    generator: torch.Generator,
    batch_size: int = 128,
) -> Curves:
    """Both orders of removal, with the untouched and the empty picture scored once.

    Args and errors are those of `perturbation_curves`; 0 and 1 are added to the fractions. Costs
    2·(k - 2) + 2 passes for k fractions, where each curve alone would cost k and insertion as
    many again.
    """
    (curves,) = shared_removal_curves(
        score,
        images,
        [maps],
        fill=fill,
        fractions=fractions,
        generator=generator,
        batch_size=batch_size,
    )
    return curves


def shared_removal_curves(
    score: Score,
    images: Float[Tensor, "n 3 H W"],
    maps: Sequence[Float[Tensor, "n h w"]],
    *,
    fill: AnyFill = "mean",
    fractions: Sequence[float],
    generator: torch.Generator,
    batch_size: int = 128,
) -> list[Curves]:
    """`removal_curves` of several maps of the same pictures, by one fill, order of ties and ends.

    Differences between the maps are thereby paired, and m maps cost 2·m·(k - 2) + 2 passes. Each
    map's curves are those that it would have alone under the same seed.
    """
    h, w = maps[0].shape[1:]
    patches = h * w
    inner = sorted({k for k in patch_counts(fractions, patches) if 0 < k < patches})
    ties = uniform(maps[0].flatten(1).shape, maps[0], generator)
    engine = perturbation(
        score, images, (h, w), fill=fill, generator=generator, batch_size=batch_size
    )
    ranks = [removal_ranks(one, order, ties) for one in maps for order in ("morf", "lerf")]
    found = engine.curves(torch.stack(ranks, 1), inner, patches)
    removed = torch.tensor([0, *inner, patches], device=images.device, dtype=images.dtype) / patches
    return [Curves(removed, found[:, i], found[:, i + 1]) for i in range(0, len(ranks), 2)]


def area_under_curve(
    scores: Float[Tensor, "n k"], fractions: Float[Tensor, " k"]
) -> Float[Tensor, " n"]:
    """Trapezoidal area over the fractions given, divided by their range: a mean score."""
    span = fractions[-1] - fractions[0]
    return torch.trapezoid(scores, fractions.to(scores.dtype), dim=-1) / span


def deletion_auc(morf: Float[Tensor, "n k"], removed: Float[Tensor, " k"]) -> Float[Tensor, " n"]:
    """Deletion: mean score while the most relevant patches are removed first.

    Range: that of the score; lower is better. Chance: the same area of a random map. Pitfalls:
    rewards any fill that breaks the model; a scale of its own per model, so normalize across
    models. AOPC of MoRF is the untouched score less this. Source: Petsiuk et al., RISE (2018).
    """
    return area_under_curve(morf, removed)


def insertion_auc(
    inserted_scores: Float[Tensor, "n k"], inserted: Float[Tensor, " k"]
) -> Float[Tensor, " n"]:
    """Insertion: mean score while the most relevant patches are put onto the fill first.

    Range: that of the score; higher is better. Chance: the area of a random map. Pitfalls: a
    blurred start leaks the picture; not the complement of deletion. Source: Petsiuk et al. (2018).
    """
    return area_under_curve(inserted_scores, inserted)


def area_between_curves(
    morf: Float[Tensor, "n k"], lerf: Float[Tensor, "n k"], removed: Float[Tensor, " k"]
) -> Float[Tensor, " n"]:
    """Area between the LeRF and the MoRF curve (ABPC, SRG): higher is better.

    Range: within ± the range of the score; the negated map has exactly the opposite value. Chance:
    0, exactly for a constant map. Pitfalls: cancels most of the fill's bias, not all; the scale is
    the model's own, so normalize across models. Source: Samek et al. (2017);
    Blücher, Vielhaben and Strodthoff, Decoupling Pixel Flipping (TMLR 2024).
    """
    return area_under_curve(lerf - morf, removed)


def insertion_minus_deletion(
    insertion: Float[Tensor, " n"], deletion: Float[Tensor, " n"]
) -> Float[Tensor, " n"]:
    """Insertion less deletion: higher is better.

    Range: within ± the range of the score. Chance: 0 on one fill, where it is
    `area_between_curves`. Pitfalls: RISE's own (blur for one, zero for the other) has another
    chance, that of a random map. Source: Petsiuk et al., RISE (2018), for the two terms.
    """
    return insertion - deletion
