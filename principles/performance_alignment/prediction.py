"""What a ladder predicts for an executed model of a certain accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Evidence, Executed, Reference
from audit.statistics.estimate import Estimate
from audit.statistics.ladder import rung_quality
from audit.trace.records import Array
from principles.performance_alignment.estimates import Measure, resamples_for


@dataclass(frozen=True)
class Rungs:
    """Quality of an explainer's maps on the rungs of a ladder, by one measure.

    Attributes:
        correct: per rung and picture.
        pairs: indices of the pairs.
        quality: (rungs, pairs).
        below: what it is a share of, (rungs, pairs), or None.
        first: that quality per explainer on the model itself, (pairs,).
    """

    correct: Array
    pairs: Array
    quality: Array
    below: Array | None
    first: dict[str, Array]


def rungs_of(evidence: Evidence, measure: str, name: str) -> Rungs | None:
    """The ladder of an explainer; None where it was measured on no rung but the first."""
    ladder, other = evidence.ladder, evidence.rung_faithfulness
    if ladder is None or (measure == "faithfulness" and other is None):
        return None
    table, below = ladder.localization, None
    if measure == "faithfulness" and other is not None:
        table, below = other.gaps, other.span
    if name not in table or int(np.isfinite(table[name]).any(1).sum()) < 2:
        return None
    pairs = np.arange(table[name].shape[1]) if below is None or other is None else other.probed
    first = {n: rows[0] for n, rows in table.items()}
    return Rungs(ladder.correct, pairs, table[name], below, first)


def above_ladder(
    measure: Measure,
    audited: str,
    ladder: Rungs,
    reference: Reference,
    executed: Executed,
    level: float,
) -> Estimate:
    """Quality minus what a ladder has at the executed accuracy, resampled by picture.

    Of faithfulness the sums are compared, each rung's over its own full minus empty score.
    """
    rng = np.random.default_rng(0)
    distinct = np.arange(len(reference.present))
    draws = rng.multinomial(
        len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples_for(1000, level)
    )
    weights = np.concatenate([np.ones((1, len(distinct))), draws.astype(float)])
    own = np.isin(ladder.pairs, measure.pairs)
    ours, rungs = ladder.first[audited][own], ladder.quality[:, own]
    below = None if ladder.below is None else ladder.below[:, own]
    pairs = weights[:, reference.picture[ladder.pairs[own]]]
    quality = rung_quality(rungs, below, pairs)
    own_quality = rung_quality(ours[None], None if below is None else below[:1], pairs)[:, 0]
    accuracy = weights @ ladder.correct.T / weights.sum(1, keepdims=True)
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
