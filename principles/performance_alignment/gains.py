"""Quality of the audited maps against a faithful twin's, and what a ladder predicts: P204."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import Executed, Reference, Roles, TwinMaps
from audit.result.finding import Verdict
from audit.statistics.estimate import Estimate
from audit.statistics.paired import paired_difference
from principles.indifference import Zone
from principles.performance_alignment.estimates import Measure, others
from principles.performance_alignment.prediction import above_ladder
from principles.performance_alignment.rung_quality import RungQuality, by_cluster


@dataclass(frozen=True)
class Gain:
    """Quality of the audited maps minus that of others.

    Attributes:
        of: whose quality is subtracted.
        size: the difference.
        predicted: by a ladder, else measured of a twin.
        negligible: the difference that does not count as better.
    """

    of: str
    size: Estimate
    predicted: bool
    negligible: float

    @property
    def verdict(self) -> Verdict:
        """PASS where the maps are not better by more than what is negligible, by its zone."""
        turned = replace(
            self.size, value=-self.size.value, low=-self.size.high, high=-self.size.low
        )
        return Zone(-self.negligible, 0.0).decide(turned)

    @property
    def words(self) -> dict[Verdict, str]:
        """What the maps are, by verdict."""
        than = "than that predicts" if self.predicted else "than the model's"
        return {
            Verdict.PASS: f"are no better {than}:",
            Verdict.VIOLATION: f"are nevertheless better {than}:",
            Verdict.INCONCLUSIVE: f"may or may not be better {than}:",
        }


def gain_over(
    measure: Measure,
    rungs: RungQuality | None,
    executed: Executed,
    reference: Reference,
    roles: Roles,
    *,
    twin_maps: TwinMaps | None,
    level: float,
    negligible: float,
) -> Gain | None:
    """Quality of the audited maps against the twin's or, without one, a ladder's prediction.

    The ladder is a faithful control's: on its own the audited explainer would be compared with
    itself, since what it executes is worse there as well. The prediction is an interpolation and
    the twin a measurement, which therefore decides where there is one. None where there is neither.
    """
    if roles.twin in measure.values:
        size = _over_twin(measure, roles.audited, roles.twin, reference, twin_maps, level)
        return Gain("that of its faithful twin", size, predicted=False, negligible=negligible)
    bases = others(roles, rungs.values if rungs else {})
    base = next((b for b in bases if rungs and rungs.rungs_with(b) > 1), None)
    if rungs is None or base is None:
        return None
    right = by_cluster(executed.correct[: len(reference.present)], reference)
    size = above_ladder(rungs, roles.audited, base, measure.pairs, right, level)
    of = f"what the ladder of {base} has at that accuracy"
    return Gain(of, size, predicted=True, negligible=negligible)


def _over_twin(
    measure: Measure,
    audited: str,
    twin: str,
    reference: Reference,
    twin_maps: TwinMaps | None,
    level: float,
) -> Estimate:
    """Quality minus the twin's, localization on many pairs where they were measured."""
    values, cluster = measure.values, reference.cluster[measure.pairs]
    there = {} if twin_maps is None else twin_maps.localization
    if measure.name == "localization" and twin_maps is not None and twin in there:
        values, cluster = there, twin_maps.cluster
    return paired_difference(
        values[audited],
        values[twin],
        clusters=cluster,
        rng=np.random.default_rng(0),
        level=level,
    )
