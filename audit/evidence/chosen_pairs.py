"""Gathers performance on many pairs, and the maps of a chosen few: P202's design.

A forward pass is cheap and a map is not. So the model's margins are measured on many pairs, and
maps are drawn for pairs in equal numbers from ten quantile bins of the margin, five on either side
of zero. The choice sees the margin alone; the area under a ROC curve does not depend on how many
pairs there are of either side.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from audit.evidence.context import Context
from audit.evidence.explanations import localized
from audit.evidence.kinds import ChosenPairs, Performance, Reference
from audit.evidence.reference import gather_reference
from audit.statistics.proportions import proportion_interval
from audit.trace.records import Array

BINS_OF_A_SIDE = 5
LEAST_OF_A_SIDE = 20


def gather_performance(context: Context, reference: Reference) -> Performance:
    """Margins of many pairs, and which of them maps are drawn for.

    Where the pairs of the audit show already that too few of the many will be right, or wrong, the
    many are not looked at.
    """
    none, count = np.arange(0), context.many.count if context.many else len(context.pairs)
    if context.pairs.masks is None:
        lack = "There are no masks, so no localization of the maps of chosen pairs."
        return Performance(np.zeros(0), none, none, lack)
    seen = reference.margins
    if _foreseen(seen > 0, count) < LEAST_OF_A_SIDE and not context.pairs.other_names:
        return Performance(seen, reference.labels, none, _too_few(seen, count))
    margins, others = _margins(context)
    labels, right = context.many_pairs().labels.numpy(), int((margins > 0).sum())
    if min(right, len(labels) - right) < LEAST_OF_A_SIDE:
        return Performance(margins, labels, none, _too_few(margins, len(labels)), others)
    first, last = context.part_of_chosen
    wanted = round(context.sizes.chosen_per_pair * len(context.pairs) / (last - first))
    rng = np.random.default_rng(context.seed)
    chosen = chosen_by_margin(margins, wanted, rng)
    return Performance(margins, labels, chosen, by_other_names=others)


def gather_chosen_pairs(context: Context, performance: Performance) -> ChosenPairs:
    """Localization of the maps of the chosen pairs, or of the part that falls to this look."""
    first, last = (round(share * len(performance.chosen)) for share in context.part_of_chosen)
    chosen = performance.chosen[first:last]
    if not len(chosen):
        return ChosenPairs((), chosen, np.zeros(0), np.zeros(0), {})
    pairs = context.many_pairs()
    drawn = pairs.select(chosen.tolist())
    localization, area = localized(context, drawn)
    return ChosenPairs(
        ids=drawn.ids,
        cluster=pairs.cluster.numpy()[chosen],
        margins=performance.margins[chosen],
        area=area,
        localization=localization,
    )


def chosen_by_margin(margins: Array, count: int, rng: np.random.Generator) -> Array:
    """Pairs in equal numbers from the bins of either side of zero, bin after bin in turn.

    Args:
        margins: of all pairs, (many,).
        count: of pairs, fewer where a side has not half as many.
        rng: draws the pairs of a bin.

    Returns:
        Their indices; every run of them holds as many of each bin, but for one.
    """
    sides = [np.flatnonzero(margins > 0), np.flatnonzero(margins <= 0)]
    each = min(count // 2, *(len(side) for side in sides))
    order = []
    for side in sides:
        sorted_ = side[np.argsort(margins[side], kind="stable")]
        bins = [rng.permutation(one) for one in np.array_split(sorted_, BINS_OF_A_SIDE)]
        rounds = range(math.ceil(each / BINS_OF_A_SIDE))
        turns = [one[i] for i in rounds for one in bins if i < len(one)]
        left = np.setdiff1d(side, turns, assume_unique=True)
        order.append([*turns, *left][:each])
    return np.array(order).T.ravel().astype(int)


def _margins(context: Context) -> tuple[Array, Array]:
    """Margins of the many pairs by the usual names, (many,), and by others, (names, many)."""
    pairs = context.many_pairs()
    if not pairs.other_names:
        margins = gather_reference(dataclasses.replace(context, pairs=pairs)).margins
        return margins, np.zeros((0, len(margins)))
    every = gather_reference(dataclasses.replace(context, pairs=pairs.in_other_words()))
    names = len(pairs.classes)
    usual = dataclasses.replace(
        every, scores=every.scores[:, :names], present=every.present[:, :names]
    )
    rivals, numbers = usual.rivals, range(1, 1 + len(pairs.other_names))
    scores = [every.scores[every.picture, every.labels + names * n] for n in numbers]
    return usual.margins, np.stack([one - rivals for one in scores])


def _foreseen(right: Array, many: int) -> float:
    """The most pairs of the rarer side that are to be expected among so many."""
    rarer = min(int(right.sum()), len(right) - int(right.sum()))
    return many * proportion_interval(rarer, len(right)).high


def _too_few(margins: Array, many: int) -> str:
    wrong, n = int((margins <= 0).sum()), len(margins)
    rarer = max(min(wrong, n - wrong), 0.5)
    needed = math.ceil(LEAST_OF_A_SIDE * n / rarer)
    return (
        f"The model is wrong about {wrong:,} of {n:,} pairs, so that the {many:,} whose "
        f"performance can be measured do not hold {LEAST_OF_A_SIDE} right and {LEAST_OF_A_SIDE} "
        f"wrong ones. About {needed:,} would, or harder data."
    )
