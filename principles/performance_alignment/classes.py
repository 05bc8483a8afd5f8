"""Pairs put together by class: accuracy, mean quality, and what noise leaves of a relation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import ClassPairs, Faithfulness, Performance, Reference, Roles
from audit.result.wording import percent
from audit.statistics.correlation import reliability_of_shares
from audit.statistics.partial_correlation import left_reliability
from audit.trace.records import Array
from principles.performance_alignment.estimates import Measure, faithfulness_of

LEAST_RELIABILITY = 0.05


@dataclass(frozen=True)
class Classes:
    """A measure of quality on pairs of many classes.

    Attributes:
        measure: the qualities of pairs.
        index: class of each pair, (measured,).
        cluster: picture of each pair, or its set of grids, (measured,).
        names: of the classes.
        labels: number of each class among those of the data.
        pairs: of each that its accuracy is measured on.
        right: those of them about which the model is right.
        area: share of the patches that the object of each pair covers, (measured,); None where
            that is not known.
        available: classes of the data that have enough pairs.
        unknown: why nothing is known of how well the model does, as a sentence; else empty.
    """

    measure: Measure
    index: Array
    cluster: Array
    names: tuple[str, ...]
    labels: Array
    pairs: Array
    right: Array
    area: Array | None
    available: int
    unknown: str = ""

    @property
    def accuracy(self) -> Array:
        """Share of right pairs of each class."""
        return np.asarray(self.right / self.pairs)

    def quality(self, name: str) -> Array:
        """Mean quality of an explainer's maps in each class."""
        return self._means(self.measure.values[name])

    def with_enough(self, least: int) -> Classes:
        """Those with so many pairs of which the quality of all maps is known."""
        known = np.isfinite(np.stack(list(self.measure.values.values()))).all(0)
        counts = np.bincount(self.index[known], minlength=len(self.names))
        kept = np.flatnonzero((counts >= max(least, 2)) & (self.pairs >= max(least, 2)))
        at = np.flatnonzero(known & np.isin(self.index, kept))
        return Classes(
            measure=self.measure.at(at),
            index=np.searchsorted(kept, self.index[at]),
            cluster=self.cluster[at],
            names=tuple(self.names[i] for i in kept),
            labels=self.labels[kept],
            pairs=self.pairs[kept],
            right=self.right[kept],
            area=None if self.area is None else self.area[at],
            available=self.available,
            unknown=self.unknown,
        )

    def given(self, name: str, roles: Roles) -> list[Array]:
        """What is held fixed: quality of the model-free maps but for its own, and the area."""
        fixed = [n for n in roles.negative if n in self.measure.values and n != name]
        return [self.quality(n) for n in fixed] + (
            [] if self.area is None else [self._means(self.area)]
        )

    def by_excess(self, name: str) -> list[int]:
        """Numbers of the classes, those first whose maps are best compared with their accuracy."""
        quality, accuracy = self.quality(name), self.accuracy
        excess = quality.argsort().argsort() - accuracy.argsort(kind="stable").argsort()
        found: list[int] = np.argsort(-excess, kind="stable").tolist()
        return found

    def lack(self, each: int, least: int) -> str:
        """Why there is nothing to correlate; empty where there is."""
        n = len(self.names)
        if n < least and self.unknown:
            return self.unknown
        if n < least:
            return (
                f"expected at least {least} classes with at least {each} pairs each "
                f"that the model knows more or less well, found {n}. Data with more kinds of "
                "objects, or with more pictures of each, can settle it."
            )
        if np.ptp(self.accuracy) == 0:
            same = percent(float(self.accuracy[0]))
            return f"the accuracy of every class is {same}. Harder data can settle it."
        return ""

    def _means(self, values: Array) -> Array:
        counts = np.bincount(self.index, minlength=len(self.names))
        return np.asarray(
            np.bincount(self.index, weights=values, minlength=len(self.names)) / counts
        )


def class_tables(
    drawn: ClassPairs,
    faithfulness: Faithfulness,
    performance: Performance,
    reference: Reference,
    roles: Roles,
    least: int,
) -> list[Classes]:
    """Localization of the classes that maps were drawn for, then faithfulness of the probed pairs.

    Args:
        drawn: a few pairs of many classes.
        faithfulness: of the audit's own pairs.
        performance: on many pairs.
        reference: of the audit's own pairs.
        roles: of the explainers.
        least: pairs of a class.
    """
    tables = []
    if reference.masks is not None or drawn.localization:
        values = drawn.localization or {roles.audited: np.zeros(0)}
        measure = Measure("localization", np.arange(len(drawn.ids)), values)
        every = Classes(
            measure, drawn.index, drawn.cluster, drawn.classes, drawn.labels,
            drawn.pairs, drawn.right, drawn.area, drawn.available, performance.lack,
        )  # fmt: skip
        tables.append(every.with_enough(least))
    if (measured := faithfulness_of(faithfulness, roles)) is not None:
        tables.append(_of_own_pairs(measured, performance, reference).with_enough(least))
    return tables


def _of_own_pairs(measure: Measure, performance: Performance, reference: Reference) -> Classes:
    """All classes of the data, with the audit's own pairs."""
    many = performance if len(performance.labels) else reference
    count = len(reference.classes)
    pairs = np.bincount(many.labels, minlength=count)
    return Classes(
        measure=measure,
        index=reference.labels[measure.pairs],
        cluster=reference.cluster[measure.pairs],
        names=reference.classes,
        labels=np.arange(count),
        pairs=pairs,
        right=np.bincount(many.labels, weights=many.margins > 0, minlength=count),
        area=None,
        available=int((pairs > 0).sum()),
    )


def left_of(clear: float, classes: Classes, roles: Roles, reliable: dict[str, float]) -> float:
    """What noise leaves of a correlation: itself times the root of the reliabilities.

    They are those of accuracies, and of the qualities of the faithful control that is the most
    reliable, either with the covariates held fixed.

    Args:
        clear: the correlation without noise.
        classes: that are compared.
        roles: of the explainers.
        reliable: of the order of the classes by the faithful controls.
    """
    accuracies = reliability_of_shares(classes.right, classes.pairs)
    parts = [left_reliability(accuracies, classes.accuracy, classes.given("", roles))]
    controls = [
        left_reliability(value, classes.quality(name), classes.given(name, roles))
        for name, value in reliable.items()
    ]
    return attenuated(clear, [*parts, float(np.fmax.reduce(controls))])


def attenuated(clear: float, reliable: Sequence[float]) -> float:
    """A correlation times the root of the reliabilities.

    Source: Spearman's correction for attenuation (1904). Reliabilities below 0.05, or unknown, are
    taken as 0.05, so that noise alone accuses nobody.
    """
    known = [r if math.isfinite(r) else 0.0 for r in reliable]
    return clear * math.sqrt(math.prod(min(max(r, LEAST_RELIABILITY), 1.0) for r in known))
