"""How much a rung of a ladder counts: as reliably as its quality and accuracy are measured."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, Shaped

from audit.statistics.rung_means import rung_parts, rung_quality

_LEAST = 1e-9


def rung_reliability(
    quality: Shaped[np.ndarray, "rungs pairs"],
    *,
    picture: Int[np.ndarray, " pairs"],
    strata: Int[np.ndarray, " rungs"],
    denominator: Shaped[np.ndarray, "rungs pairs"] | None = None,
) -> Float[np.ndarray, " rungs"]:
    """Share of a rung's distance from its family that is not chance, in [0, 1].

    That is τ² / (τ² + σ²) with the variance σ² that drawing other pictures gives the rung's mean
    beside those of its family (noise that all of them share moves none past another), and the
    variance τ² of true means within families, pooled. Ones where τ² is zero: nothing tells one rung
    from another, however well it is measured. σ² is the variance of the mean, or of the ratio by
    linearization, with pictures as clusters; τ² the moment estimate of a random-effects model.
    Sources: Cochran, Sampling Techniques (1977), 6.4 and 9A.2; DerSimonian and Laird (1986).

    Args:
        quality: per rung and pair, NaN where there is none.
        picture: of each pair.
        strata: family of each rung; those with one rung say nothing.
        denominator: makes the mean a ratio of sums.
    """
    means = rung_quality(quality, denominator)[0]
    above, below = rung_parts(quality, denominator)
    moves = above - means[:, None] * below  # each pair's part of the mean
    moves /= below.sum(axis=1, keepdims=True)
    by_picture = np.stack([np.bincount(picture, weights=row) for row in moves])
    noise, excess, scale = np.zeros(len(above)), 0.0, 0.0
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        if len(own) == 1:
            continue
        apart = by_picture[own] - by_picture[own].mean(axis=0)
        unbiased = len(own) / (len(own) - 1)  # the family's mean has a part of the noise
        noise[own] = unbiased * (apart**2).sum(axis=1)
        precise = 1 / np.maximum(noise[own], _LEAST * max(noise[own].max(), _LEAST))
        middle = np.average(means[own], weights=precise)
        excess += (precise * (means[own] - middle) ** 2).sum() - (len(own) - 1)
        scale += precise.sum() - (precise**2).sum() / precise.sum()
    true = excess / scale if scale > 0 else 0.0
    return true / (true + noise) if true > 0 else np.ones(len(above))
