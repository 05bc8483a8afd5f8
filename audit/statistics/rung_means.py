"""Mean quality of the rungs of a ladder, or of the conditions of any measurement."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped


def rung_quality(
    quality: Shaped[np.ndarray, "rungs pairs"],
    denominator: Shaped[np.ndarray, "rungs pairs"] | None = None,
    weights: Float[np.ndarray, "b pairs"] | None = None,
) -> Float[np.ndarray, "b rungs"]:
    """Mean quality of each rung over the pairs that have one, or a ratio of sums.

    Args:
        quality: per rung and pair, NaN where there is none.
        denominator: makes the mean a ratio of sums, as of normalized faithfulness.
        weights: rows of weights of the pairs, by default one row of ones.

    Returns:
        One row per row of weights, NaN where a rung has no pair (or its denominators sum to zero
        or less).
    """
    above, below = rung_parts(quality, denominator)
    rows = np.ones((1, above.shape[1])) if weights is None else weights
    top, bottom = rows @ above.T, rows @ below.T
    means: Float[np.ndarray, "b rungs"] = np.full_like(top, np.nan)
    np.divide(top, bottom, out=means, where=bottom > 0)
    return means


def rung_parts(
    quality: Shaped[np.ndarray, "rungs pairs"],
    denominator: Shaped[np.ndarray, "rungs pairs"] | None = None,
) -> tuple[Float[np.ndarray, "rungs pairs"], Float[np.ndarray, "rungs pairs"]]:
    """What each pair adds above and below the line of a rung's mean; nothing where one is unknown.

    Args:
        quality: per rung and pair, NaN where there is none.
        denominator: likewise, by default one for every pair.
    """
    above = np.asarray(quality, dtype=np.float64)
    below = np.ones_like(above) if denominator is None else np.asarray(denominator, np.float64)
    known = ~(np.isnan(above) | np.isnan(below))
    return np.where(known, above, 0.0), np.where(known, below, 0.0)
