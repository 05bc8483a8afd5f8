"""What a ladder predicts for an executed model of a certain accuracy."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Executed, Ladder, Reference
from audit.statistics.estimate import Estimate
from audit.statistics.ladder import rung_quality
from principles.performance_alignment.estimates import Measure, resamples_for


def has_ladder(ladder: Ladder, measure: Measure, name: str) -> bool:
    """Whether the quality of an explainer was measured on more rungs than the first."""
    table = getattr(ladder, measure.name)
    return name in table and int(np.isfinite(table[name]).any(1).sum()) > 1


def above_ladder(
    measure: Measure,
    audited: str,
    base: str,
    ladder: Ladder,
    reference: Reference,
    executed: Executed,
    level: float,
) -> Estimate:
    """Quality minus what a ladder has at the executed accuracy, resampled by picture."""
    rng = np.random.default_rng(0)
    distinct = np.arange(len(reference.present))
    draws = rng.multinomial(
        len(distinct), np.full(len(distinct), 1 / len(distinct)), size=resamples_for(1000, level)
    )
    weights = np.concatenate([np.ones((1, len(distinct))), draws.astype(float)])
    ours, rungs, below = _tables(measure, audited, base, ladder)
    pairs = weights[:, reference.picture[measure.pairs]]
    quality = rung_quality(rungs, below, pairs)
    own = rung_quality(ours[None], None if below is None else below[:1], pairs)[:, 0]
    accuracy = weights @ ladder.correct.T / weights.sum(1, keepdims=True)
    here = weights @ executed.correct / weights.sum(1)
    expected = [_predicted(x, a, q) for x, a, q in zip(here, accuracy, quality, strict=True)]
    gains = own - np.array(expected)
    low, high = np.nanquantile(gains[1:], ((1 - level) / 2, (1 + level) / 2))
    return Estimate(float(gains[0]), float(low), float(high), level, len(distinct))


def _tables(
    measure: Measure, audited: str, base: str, ladder: Ladder
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Audited quality per pair, that of the base per rung and pair, and its denominators.

    Of faithfulness the sums are compared, each rung's over its own full minus empty score.
    """
    if measure.name == "localization":
        return measure.values[audited], ladder.localization[base][:, measure.pairs], None
    own = np.isin(ladder.probed, measure.pairs)
    ours, rungs = ladder.faithfulness[audited][0, own], ladder.faithfulness[base][:, own]
    return ours, rungs, ladder.faithfulness_range[:, own]


def _predicted(accuracy: float, rungs: np.ndarray, quality: np.ndarray) -> float:
    """Quality at an accuracy, interpolated between the rungs that have one."""
    known = np.flatnonzero(np.isfinite(quality))
    order = known[np.argsort(rungs[known], kind="stable")]
    return float(np.interp(accuracy, rungs[order], quality[order]))
