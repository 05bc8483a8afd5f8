"""Quality of the maps on the rungs of a ladder, by each measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Evidence, RungFaithfulness
from audit.statistics.ladder import rung_quality
from audit.trace.records import Array
from principles.performance_alignment.estimates import LEAST_RANGE


@dataclass(frozen=True)
class RungQuality:
    """A measure of quality on the rungs.

    Attributes:
        name: ``localization`` or ``faithfulness``.
        pairs: indices of the pairs that it was measured on, (measured,).
        values: per explainer, (rungs, measured), NaN where a rung has none.
        below: what they are a share of, (rungs, measured), or None.
    """

    name: str
    pairs: Array
    values: dict[str, Array]
    below: Array | None

    def of(self, name: str, weights: Array | None = None) -> Array:
        """Quality of an explainer's maps on each rung, under rows of weights of the pairs."""
        return rung_quality(self.values[name], self.below, weights)

    def rungs_with(self, name: str) -> int:
        """How many rungs have a quality."""
        return int(np.isfinite(self.of(name)[0]).sum())


def rung_measures(evidence: Evidence) -> dict[str, RungQuality]:
    """The measures that there are, by name."""
    ladder, faithful, found = evidence.ladder, evidence.rung_faithfulness, []
    if ladder is not None and ladder.localization:
        pairs = np.arange(next(iter(ladder.localization.values())).shape[1])
        found.append(RungQuality("localization", pairs, ladder.localization, None))
    if faithful is not None and len(faithful.probed):
        found.append(_faithfulness(faithful))
    return {one.name: one for one in found}


def _faithfulness(measured: RungFaithfulness) -> RungQuality:
    """Insertion minus deletion over each rung's own full minus empty score.

    A model whose scores hardly tell full pictures from empty ones has no scale: a rung with less
    than a tenth of the unmodified model's range has no faithfulness.
    """
    span = measured.span.mean(1)
    without = span <= LEAST_RANGE * max(float(span[0]), 0.0)
    values = {n: np.where(without[:, None], np.nan, gaps) for n, gaps in measured.gaps.items()}
    return RungQuality("faithfulness", measured.probed, values, measured.span)
