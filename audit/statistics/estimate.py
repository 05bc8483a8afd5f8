"""An estimate with its interval, and the checks that all statistics share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval, NaN where the data allow none.
        high: upper end.
        level: confidence level of the interval.
        n: independent units behind it (clusters, pictures or rungs).
        dropped: observations left out because they were NaN.
        p: two-sided p-value, where there is a null hypothesis, else None.
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    dropped: int = 0
    p: float | None = None

    def above(self, threshold: float) -> bool:
        """Whether the whole interval lies above a threshold."""
        return self.low > threshold

    def below(self, threshold: float) -> bool:
        """Whether the whole interval lies below a threshold."""
        return self.high < threshold


def without_nan(
    values: Shaped[np.ndarray, "n ..."], clusters: Shaped[np.ndarray, " n"] | None
) -> tuple[Float[np.ndarray, "m ..."], Int[np.ndarray, " m"], int]:
    """Rows without NaN, their cluster as a number from 0, and how many rows were dropped.

    Raises:
        ValueError: where no row is left, or clusters do not match the rows.
    """
    rows = np.asarray(values, dtype=np.float64)
    labels = np.arange(len(rows)) if clusters is None else np.asarray(clusters)
    if labels.shape != rows.shape[:1]:
        raise ValueError(f"expected one cluster per row, got {labels.shape} for {rows.shape}")
    keep = ~np.isnan(rows.reshape(len(rows), -1)).any(axis=1)
    if not keep.any():
        raise ValueError(f"expected at least one value that is not NaN, got {len(rows)} rows")
    index = np.unique(labels[keep], return_inverse=True)[1]
    return rows[keep], index, int((~keep).sum())
