"""Quality of the audited maps against a faithful twin's, and what a ladder predicts: P204."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Executed, Reference, Roles
from audit.result.finding import Verdict
from audit.statistics.estimate import Estimate
from audit.statistics.paired import paired_difference
from principles.performance_alignment.estimates import Measure, others
from principles.performance_alignment.prediction import above_ladder
from principles.performance_alignment.rung_quality import RungQuality


@dataclass(frozen=True)
class Gain:
    """Quality of the audited maps minus that of others.

    Attributes:
        of: whose quality is subtracted.
        size: the difference.
        predicted: by a ladder, else measured of a twin. Maps from a worse model should be worse
            than those of a twin; than what a ladder has at that accuracy they should not be better.
    """

    of: str
    size: Estimate
    predicted: bool

    def bar(self, negligible: float) -> float:
        """Below which the gain has to lie."""
        return negligible if self.predicted else 0.0

    def verdict(self, negligible: float) -> Verdict:
        """VIOLATION where the gain is wholly above what is negligible."""
        if self.size.below(self.bar(negligible)):
            return Verdict.PASS
        limit = negligible if self.predicted else -negligible
        return Verdict.VIOLATION if self.size.above(limit) else Verdict.INCONCLUSIVE

    @property
    def words(self) -> dict[Verdict, str]:
        """What the maps are, by verdict."""
        if self.predicted:
            return {
                Verdict.PASS: "are no better than that predicts:",
                Verdict.VIOLATION: "are better than that predicts:",
                Verdict.INCONCLUSIVE: "may or may not be better than that predicts:",
            }
        return {
            Verdict.PASS: "are worse too:",
            Verdict.VIOLATION: "are nevertheless not worse:",
            Verdict.INCONCLUSIVE: "may or may not be worse:",
        }


def gains_over(
    measure: Measure,
    rungs: RungQuality | None,
    executed: Executed,
    reference: Reference,
    roles: Roles,
    *,
    level: float,
    negligible: float,
) -> list[Gain]:
    """Quality of the audited maps against the twin's, and against a ladder's prediction.

    The ladder is the twin's or, without one, a faithful control's: on its own ladder the audited
    explainer would be compared with itself, since what it executes is worse there as well. A gain
    over the prediction counts only where there is no twin, or where it is wholly above what
    is negligible: the prediction is an interpolation, the twin a measurement.
    """
    gains = []
    if roles.twin in measure.values:
        gain = paired_difference(
            measure.values[roles.audited],
            measure.values[roles.twin],
            clusters=reference.cluster[measure.pairs],
            rng=np.random.default_rng(0),
            level=level,
        )
        gains.append(Gain(f"that of its faithful twin ({roles.twin})", gain, predicted=False))
    bases = [roles.twin] if gains else others(roles, rungs.values if rungs else {})
    base = next((b for b in bases if rungs and b in rungs.values and rungs.rungs_with(b) > 1), None)
    if rungs and base:
        size = above_ladder(rungs, roles.audited, base, measure.pairs, executed.correct, level)
        above = Gain(f"what the ladder of {base} has at that accuracy", size, predicted=True)
        if not gains or above.verdict(negligible) is Verdict.VIOLATION:
            gains.append(above)
    return gains
