"""Quality of the audited maps against a faithful twin's, and what a ladder predicts: P204."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import ChosenPairs, Executed, Performance, Reference, Roles
from audit.result.finding import Verdict
from audit.statistics.bootstrap import bootstrap_interval, ratio_of_means
from audit.statistics.estimate import Estimate
from audit.statistics.paired import paired_difference, sign_flip
from audit.trace.records import Array
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


@dataclass(frozen=True)
class ManyMaps:
    """Localization on more pairs, chosen by the model's margin, that stand for all pairs.

    Attributes:
        values: per explainer, (chosen,).
        cluster: picture of each pair, or its set of grids.
        weights: of each pair, by how many of all pairs its side of the margin stands for.
    """

    values: dict[str, Array]
    cluster: Array
    weights: Array

    def difference(self, one: str, other: str, level: float) -> Estimate:
        """Mean quality of one explainer minus another's over all pairs, as `paired_difference`."""
        gap = self.values[one] - self.values[other]
        rng = np.random.default_rng(0)
        rows = np.stack([self.weights * gap, self.weights], 1)
        size = bootstrap_interval(rows, ratio_of_means, clusters=self.cluster, rng=rng, level=level)
        return replace(size, p=sign_flip(rows[:, 0], clusters=self.cluster, rng=rng))


def many_maps(performance: Performance | None, chosen: ChosenPairs | None) -> ManyMaps | None:
    """The chosen pairs, of which half are wrong, weighed as they are met among the many.

    Within a side of the margin they are a fair sample of it. None where nothing was chosen.
    """
    if performance is None or chosen is None or not chosen.localization:
        return None
    right, share = chosen.margins > 0, float((performance.margins > 0).mean())
    if right.all() or not right.any():
        return None
    weights = np.where(right, share / right.sum(), (1 - share) / (~right).sum())
    return ManyMaps(chosen.localization, chosen.cluster, weights)


def gain_over(
    measure: Measure,
    rungs: RungQuality | None,
    executed: Executed,
    reference: Reference,
    roles: Roles,
    *,
    many: ManyMaps | None,
    level: float,
    negligible: float,
) -> Gain | None:
    """Quality of the audited maps against the twin's or, without one, a ladder's prediction.

    The ladder is a faithful control's: on its own the audited explainer would be compared with
    itself, since what it executes is worse there as well. The prediction is an interpolation and
    the twin a measurement, which therefore decides where there is one. None where there is neither.
    """
    if roles.twin in measure.values:
        size = _over_twin(measure, roles.audited, roles.twin, reference, many, level)
        of = f"that of its faithful twin ({roles.twin})"
        return Gain(of, size, predicted=False, negligible=negligible)
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
    many: ManyMaps | None,
    level: float,
) -> Estimate:
    """Quality minus the twin's, on whichever pairs are more."""
    if (
        many is not None
        and measure.name == "localization"
        and len(many.weights) > len(measure.pairs)
        and {audited, twin} <= many.values.keys()
    ):
        return many.difference(audited, twin, level)
    return paired_difference(
        measure.values[audited],
        measure.values[twin],
        clusters=reference.cluster[measure.pairs],
        rng=np.random.default_rng(0),
        level=level,
    )
