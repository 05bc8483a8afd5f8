"""Pairs put together by class: accuracy, mean quality, and how reliable the accuracies are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from audit.statistics.correlation import lengthening, reliability_of_shares
from audit.trace.records import Array
from principles.words import number

_RELIABLE = 0.8


@dataclass(frozen=True)
class Classes:
    """Classes with enough pairs: their numbers, pairs, right pairs, and mean quality."""

    index: Array
    pairs: Array
    right: Array
    quality: dict[str, Array]

    @property
    def accuracy(self) -> Array:
        """Share of right pairs."""
        return np.asarray(self.right / self.pairs)


def by_class(labels: Array, correct: Array, values: dict[str, Array], least: int) -> Classes:
    """Pairs, right pairs and mean quality of every class with at least ``least`` pairs."""
    counts = np.bincount(labels)
    index = np.flatnonzero(counts >= max(least, 2))
    right = np.bincount(labels, weights=correct, minlength=len(counts))[index]
    quality = {
        name: np.bincount(labels, weights=v, minlength=len(counts))[index] / counts[index]
        for name, v in values.items()
    }
    return Classes(index, counts[index], right, quality)


def pairs_wanted(classes: Classes) -> str:
    """How many pairs would tell the classes' accuracies apart."""
    pairs = int(classes.pairs.sum())
    reliability = reliability_of_shares(classes.right, classes.pairs)
    if math.isnan(reliability):
        return f"More than {pairs:,} pairs are needed to see any difference in accuracy."
    floor = max(reliability, 0.05)
    needed = math.ceil(pairs * max(lengthening(floor, _RELIABLE), 1.0))
    bound = "about" if reliability > floor - 1e-12 else "more than"
    return (
        f"The reliability of the classes' accuracies is {number(max(reliability, 0.0))} here; "
        f"{number(_RELIABLE)} would need {bound} {needed:,} pairs."
    )


def pairs_for_classes(labels: Array, each: int, classes: int) -> str:
    """How many pairs would give enough classes with enough pairs each."""
    counts = np.sort(np.bincount(labels))[::-1]
    shown = int((counts > 0).sum())
    if shown < classes:
        return f"These pairs show {shown} of them, so that more kinds of objects are needed."
    needed = math.ceil(len(labels) * each / int(counts[classes - 1]))
    return f"About {needed:,} pairs would do."
