"""Gathers the maps of a few pairs of each of many classes: P203's design.

How well the model knows a class is measured on many pairs by forward passes alone. Maps are drawn
for as many pairs of a class as the check asks for at least, of classes that are spread evenly over
all in the order of their accuracy: more classes tell more about them than more pairs of each. Where
the data name their classes in other words too, a class in other words is one more: its pictures are
the same, so that nothing in them tells how well the model knows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.context import Context
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.explanations import localized
from audit.evidence.kinds import ClassPairs, Performance
from audit.trace.records import Array


@dataclass(frozen=True)
class _Known:
    """A class by some names.

    Attributes:
        number: of the class in the data whose names stand in a row (`Pairs.in_other_words`).
        pairs: numbers of its pairs, among those that performance was measured on.
        right: of them.
    """

    number: int
    pairs: Array
    right: int

    @property
    def accuracy(self) -> float:
        """Share of right pairs."""
        return self.right / len(self.pairs)


def gather_class_pairs(context: Context, performance: Performance) -> ClassPairs:
    """Localization of maps of the classes that are looked at, or of those of this look."""
    limits, none = context.limits["class_pairs"], np.arange(0)
    each = int(limits["least_pairs"])
    known = _known_classes(context, performance, each)
    told_apart = len({one.accuracy for one in known}) > 1
    chosen = []
    if context.pairs.masks is not None and told_apart and len(known) >= limits["least_classes"]:
        chosen = _of_this_look(context, known)
    if not chosen:
        return ClassPairs((), none, none, none, (), none, none, np.zeros(0), {}, len(known))
    many, rows = context.many_pairs(), [_rows_of(one, each, context.seed) for one in chosen]
    at, index = np.concatenate(rows), np.repeat(np.arange(len(chosen)), each)
    drawn = many.asked_by(at.tolist(), [chosen[i].number for i in index])
    localization, area = localized(context, drawn)
    return ClassPairs(
        classes=tuple(drawn.classes[one.number] for one in chosen),
        labels=np.array([one.number % len(context.pairs.classes) for one in chosen]),
        pairs=np.array([len(one.pairs) for one in chosen]),
        right=np.array([one.right for one in chosen]),
        ids=drawn.ids,
        index=index,
        cluster=many.cluster.numpy()[at],
        area=area,
        localization=localization,
        available=len(known),
    )


def _known_classes(context: Context, performance: Performance, each: int) -> list[_Known]:
    """All classes by all names with enough pairs, those that the model knows least first."""
    labels, found = performance.labels, list[_Known]()
    if performance.lack and not len(performance.by_other_names):
        return found  # classes of which the model knows all alike, or none
    names = len(context.pairs.classes)
    for number, margins in enumerate([performance.margins, *performance.by_other_names]):
        for label in range(names):
            pairs = np.flatnonzero(labels == label)
            if len(pairs) >= max(each, 2):
                right = int((margins[pairs] > 0).sum())
                found.append(_Known(label + names * number, pairs, right))
    return sorted(found, key=lambda one: (one.accuracy, one.number))


def _of_this_look(context: Context, known: list[_Known]) -> list[_Known]:
    """Classes spread over the accuracies, in an order of which every part is spread as well."""
    first, last = context.part_of_chosen
    wanted = round(context.sizes.classes_per_pair * len(context.pairs) / (last - first))
    chosen = [known[i] for i in evenly_spaced(len(known), wanted)]
    order = np.random.default_rng(context.seed).permutation(len(chosen))
    start, stop = (round(share * len(chosen)) for share in (first, last))
    return [chosen[i] for i in order[start:stop]]


def _rows_of(one: _Known, each: int, seed: int) -> list[int]:
    """So many pairs of a class, drawn by the class and the seed alone."""
    rows: list[int] = np.random.default_rng((seed, one.number)).permutation(one.pairs).tolist()
    return rows[:each]
