"""Pairs put together by class: accuracy, mean quality, and how reliable the accuracies are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from audit.result.wording import number
from audit.statistics.correlation import lengthening, reliability_of_shares
from audit.statistics.power import pairs_needed, smallest_visible_effect
from audit.trace.records import Array

_RELIABLE = 0.8
LEAST_RELIABILITY = 0.05
_MOST, _MOST_CLASSES = math.log(1e6), 100_000


@dataclass(frozen=True)
class Classes:
    """Classes with enough pairs: their numbers, pairs, right pairs, and mean quality of maps.

    Attributes:
        index: of the classes.
        pairs: of each that its accuracy is measured on.
        right: those of them about which the model is right.
        quality: per explainer, over the pairs that maps were drawn for.
    """

    index: Array
    pairs: Array
    right: Array
    quality: dict[str, Array]

    @property
    def accuracy(self) -> Array:
        """Share of right pairs."""
        return np.asarray(self.right / self.pairs)


def by_class(
    labels: Array,
    values: dict[str, Array],
    least: int,
    many_labels: Array,
    many_correct: Array,
) -> Classes:
    """Accuracy and mean quality of every class with at least ``least`` pairs of either.

    Args:
        labels: class of each pair that maps were drawn for.
        values: quality of each such pair, per explainer.
        least: pairs of a class.
        many_labels: class of each pair that performance was measured on.
        many_correct: whether the model is right about it.
    """
    classes = max(int(labels.max(initial=0)), int(many_labels.max(initial=0))) + 1
    counts, many = (np.bincount(x, minlength=classes) for x in (labels, many_labels))
    index = np.flatnonzero((counts >= max(least, 2)) & (many >= max(least, 2)))
    right = np.bincount(many_labels, weights=many_correct, minlength=classes)[index]
    quality = {
        name: np.bincount(labels, weights=v, minlength=classes)[index] / counts[index]
        for name, v in values.items()
    }
    return Classes(index, many[index], right, quality)


def attenuated(clear: float, reliable: Sequence[float]) -> float:
    """What noise leaves of a correlation: itself times the root of the reliabilities.

    Source: Spearman's correction for attenuation (1904). Reliabilities below 0.05, or unknown, are
    taken as 0.05, so that noise alone accuses nobody.
    """
    known = [r if math.isfinite(r) else 0.0 for r in reliable]
    return clear * math.sqrt(math.prod(min(max(r, LEAST_RELIABILITY), 1.0) for r in known))


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


def pairs_for_correlation(seen: float, reliable: Sequence[float], n: int, alpha: float) -> float:
    """How many times as many pairs would settle a rank correlation of the size seen over n classes.

    More pairs of the same classes do not narrow the interval, whose width goes by the number of
    classes; they make accuracies and qualities more reliable, and so the correlation larger: it is
    the true one times the root of the two reliabilities (Spearman's correction for attenuation,
    1904), each of which grows by Spearman and Brown's formula.

    Args:
        seen: the correlation.
        reliable: reliability of the accuracies and of the qualities; below 0.05 taken as 0.05.
        n: number of classes.
        alpha: two-sided error rate.

    Returns:
        A factor of 1 or more; infinite where even classes that are perfectly known would not do.
    """
    wanted = smallest_visible_effect("correlation", n, alpha=alpha)
    parts = [min(max(r, LEAST_RELIABILITY), 1.0) for r in reliable]
    true = min(abs(seen) / math.sqrt(math.prod(parts)), 1.0)

    def lack(log_times: float) -> float:
        times = math.exp(log_times)
        grown = math.prod(times * r / (1 + (times - 1) * r) for r in parts)
        return wanted - true * math.sqrt(grown)

    if lack(_MOST) > 0:
        return math.inf
    return math.exp(optimize.brentq(lack, 0.0, _MOST)) if lack(0.0) > 0 else 1.0


def settling_words(
    seen: float, pairs: int | None, n: int, alpha: float, *, at_least: bool = False
) -> str:
    """The smallest correlation that this run could have seen, and what would settle one as seen.

    Args:
        seen: the correlation.
        pairs: that would settle it, None where no number of these classes' would.
        n: number of classes.
        alpha: two-sided error rate.
        at_least: some reliability is too low to be told, so that it may take more.
    """
    smallest = smallest_visible_effect("correlation", n, alpha=alpha)
    could = f"Over {n} classes a true rank correlation of {number(smallest)} could have been seen."
    if pairs is not None:
        bound = "More than" if at_least else "About"
        return f"{could} {bound} {pairs:,} pairs would settle one of the size seen."
    needed = pairs_needed(seen, "correlation", alpha=alpha, most=_MOST_CLASSES)
    more = "" if needed is None else f": about {needed:,} classes would"
    return f"{could} No number of pairs of these classes would settle one of the size seen{more}."


def pairs_for_classes(labels: Array, each: int, classes: int) -> tuple[int | None, str]:
    """How many pairs would give enough classes with enough pairs each; and the same in words."""
    counts = np.sort(np.bincount(labels))[::-1]
    shown = int((counts > 0).sum())
    if shown < classes:
        return None, f"These pairs show {shown} of them, so that more kinds of objects are needed."
    needed = math.ceil(len(labels) * each / int(counts[classes - 1]))
    return needed, f"About {needed:,} pairs would do."
