"""Quality of the maps on the rungs of a ladder, by each measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Ladder, Reference, RungFaithfulness, RungInfo
from audit.statistics.rung_means import rung_quality
from audit.trace.records import Array
from principles.performance_alignment.estimates import LEAST_RANGE


@dataclass(frozen=True)
class RungQuality:
    """A measure of quality on the rungs.

    Attributes:
        name: ``localization`` or ``faithfulness``.
        rungs: of the ladder, the unmodified model first.
        correct: share of each picture, or set of grids, that a rung's model is right about,
            (rungs, clusters).
        pairs: indices of the pairs that it was measured on, (measured,).
        picture: the column of ``correct`` that each of them belongs to, (measured,).
        values: per explainer, (rungs, measured), NaN where a rung has none.
        below: what they are a share of, (rungs, measured), or None.
    """

    name: str
    rungs: tuple[RungInfo, ...]
    correct: Array
    pairs: Array
    picture: Array
    values: dict[str, Array]
    below: Array | None

    def of(self, name: str, weights: Array | None = None) -> Array:
        """Quality of an explainer's maps on each rung, under rows of weights of the pairs."""
        return rung_quality(self.values[name], self.below, weights)

    def rungs_with(self, name: str) -> int:
        """How many rungs have a quality."""
        return int(np.isfinite(self.of(name)[0]).sum())

    def by_family(self) -> tuple[Array, list[str]]:
        """Indices of the rungs by family, the unmodified model on top of each; and the families."""
        families = sorted({r.family for r in self.rungs} - {"unmodified"})
        rows, names = [], []
        for family in families:
            own = [i for i, r in enumerate(self.rungs) if r.family in {family, "unmodified"}]
            rows += own
            names += [family] * len(own)
        return np.array(rows), names


def rung_measures(
    ladder: Ladder | None, faithful: RungFaithfulness | None, reference: Reference
) -> dict[str, RungQuality]:
    """The measures that there are, by name; none without a ladder.

    Args:
        ladder: models of graded performance, or other models beside the one under audit.
        faithful: faithfulness on them, where it was measured.
        reference: of the pairs.
    """
    if ladder is None:
        return {}
    found: list[tuple[str, Array, dict[str, Array], Array | None]] = []
    if ladder.localization:
        every = np.arange(next(iter(ladder.localization.values())).shape[1])
        found.append(("localization", every, ladder.localization, None))
    if faithful is not None and len(faithful.probed):
        found.append(("faithfulness", faithful.probed, _with_a_scale(faithful), faithful.span))
    correct, cluster = by_cluster(ladder.correct, reference), clusters(reference)
    own = cluster[reference.picture]
    return {
        name: RungQuality(name, ladder.rungs, correct, pairs, own[pairs], values, below)
        for name, pairs, values, below in found
    }


def clusters(reference: Reference) -> Array:
    """The number of each picture, or that of its set of grids, from zero on, (pictures,)."""
    if reference.sets is None:
        return np.arange(len(reference.present))
    return np.asarray(np.unique(reference.cluster_of_pictures, return_inverse=True)[1])


def by_cluster(correct: Array, reference: Reference) -> Array:
    """Share of right pictures in each of the clusters that are drawn together.

    Args:
        correct: whether a model is right about each picture, (..., pictures).
        reference: of the pictures.
    """
    if reference.sets is None:
        return correct
    member = clusters(reference)[:, None] == np.arange(clusters(reference).max() + 1)
    return np.asarray(correct.astype(float) @ member / member.sum(0))


def _with_a_scale(measured: RungFaithfulness) -> dict[str, Array]:
    """Insertion minus deletion, where a rung's full minus empty score is a scale to measure it by.

    The scores of some models hardly tell full pictures from empty ones: a rung with less than a
    tenth of the unmodified model's range has no faithfulness.
    """
    span = measured.span.mean(1)
    without = span <= LEAST_RANGE * max(float(span[0]), 0.0)
    return {n: np.where(without[:, None], np.nan, gaps) for n, gaps in measured.gaps.items()}
