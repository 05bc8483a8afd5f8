"""What a ladder predicts for an executed model of a certain accuracy."""

from __future__ import annotations

import numpy as np

from audit.statistics.estimate import Estimate
from audit.trace.records import Array
from principles.performance_alignment.estimates import resamples_for
from principles.performance_alignment.rung_quality import RungQuality


def above_ladder(
    rungs: RungQuality, audited: str, base: str, pairs: Array, executed: Array, level: float
) -> Estimate:
    """Quality minus what a ladder has at the executed accuracy, resampled by picture.

    Of faithfulness the sums are compared, each rung's over its own full minus empty score.

    Args:
        rungs: quality on the ladder.
        audited: whose quality on the model itself is compared.
        base: whose quality on the rungs.
        pairs: that count.
        executed: share of each picture, or set of grids, that what is executed is right about.
        level: of the interval.
    """
    rng = np.random.default_rng(0)
    pictures = len(executed)
    draws = rng.multinomial(
        pictures, np.full(pictures, 1 / pictures), size=resamples_for(1000, level)
    )
    weights = np.concatenate([np.ones((1, pictures)), draws.astype(float)])
    own = np.isin(rungs.pairs, pairs)
    counted = np.zeros((len(weights), len(own)))
    counted[:, own] = weights[:, rungs.picture[own]]
    quality, own_quality = rungs.of(base, counted), rungs.of(audited, counted)[:, 0]
    accuracy = weights @ rungs.correct.T / pictures
    here = weights @ executed / pictures
    expected = [_predicted(x, a, q) for x, a, q in zip(here, accuracy, quality, strict=True)]
    gains = own_quality - np.array(expected)
    low, high = np.nanquantile(gains[1:], ((1 - level) / 2, (1 + level) / 2))
    return Estimate(float(gains[0]), float(low), float(high), level, pictures)


def _predicted(accuracy: float, rungs: np.ndarray, quality: np.ndarray) -> float:
    """Quality at an accuracy, interpolated between the rungs that have one; NaN if none has."""
    known = np.flatnonzero(np.isfinite(quality))
    if not len(known):
        return np.nan
    order = known[np.argsort(rungs[known], kind="stable")]
    return float(np.interp(accuracy, rungs[order], quality[order]))
