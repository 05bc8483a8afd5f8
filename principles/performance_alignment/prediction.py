"""What a ladder predicts for an executed model of a certain accuracy."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Executed, Reference
from audit.statistics.estimate import Estimate
from audit.trace.records import Array
from principles.performance_alignment.estimates import Measure, resamples_for
from principles.performance_alignment.rungs import RungQuality


def above_ladder(
    measure: Measure,
    audited: str,
    base: str,
    rungs: RungQuality,
    correct: Array,
    reference: Reference,
    executed: Executed,
    level: float,
) -> Estimate:
    """Quality minus what a ladder has at the executed accuracy, resampled by picture.

    Of faithfulness the sums are compared, each rung's over its own full minus empty score.

    Args:
        measure: which pairs count.
        audited: whose quality on the model itself is compared.
        base: whose quality on the rungs.
        rungs: that quality.
        correct: per rung and picture.
        reference: of the data.
        executed: whose accuracy it is.
        level: of the interval.
    """
    rng = np.random.default_rng(0)
    distinct = np.arange(len(reference.present))
    draws = rng.multinomial(
        len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples_for(1000, level)
    )
    weights = np.concatenate([np.ones((1, len(distinct))), draws.astype(float)])
    own = np.isin(rungs.pairs, measure.pairs)
    pairs = np.zeros((len(weights), len(own)))
    pairs[:, own] = weights[:, reference.picture[rungs.pairs[own]]]
    quality, own_quality = rungs.of(base, pairs), rungs.of(audited, pairs)[:, 0]
    accuracy = weights @ correct.T / weights.sum(1, keepdims=True)
    here = weights @ executed.correct / weights.sum(1)
    expected = [_predicted(x, a, q) for x, a, q in zip(here, accuracy, quality, strict=True)]
    gains = own_quality - np.array(expected)
    low, high = np.nanquantile(gains[1:], ((1 - level) / 2, (1 + level) / 2))
    return Estimate(float(gains[0]), float(low), float(high), level, len(distinct))


def _predicted(accuracy: float, rungs: np.ndarray, quality: np.ndarray) -> float:
    """Quality at an accuracy, interpolated between the rungs that have one."""
    known = np.flatnonzero(np.isfinite(quality))
    order = known[np.argsort(rungs[known], kind="stable")]
    return float(np.interp(accuracy, rungs[order], quality[order]))
