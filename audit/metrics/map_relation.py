"""How maps of the same pairs by two explainers are related: equal, rescaled, ordered alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.similarity import spearman

ROUNDING = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""What rounding explains of a map, as a share of its range, by the dtype that it was drawn in."""
LOOSE = 1e-3
"""A difference that a coarser precision may make of maps that are equal in double precision."""
RANKED = 0.999
"""The same of their rank correlation."""


class Relation(StrEnum):
    """From the closest to none, each of the first four implying those behind it."""

    EQUAL = "equal"
    SCALE = "scale"
    AFFINE = "scale and offset"
    RANKING = "ranking"
    NONE = "none"


@dataclass(frozen=True)
class Related:
    """What was found of two batches of maps.

    Attributes:
        relation: the closest one that holds on every pair.
        residual: largest absolute difference over all pairs that the relation leaves, relative to
            the range of the map; of `Relation.RANKING` and `Relation.NONE` that of the plain maps.
        telling: pairs on which neither map is even; without any, no relation is found.
    """

    relation: Relation
    residual: float
    telling: int


def relation_of(
    one: Float[Tensor, "pairs places"], other: Float[Tensor, "pairs places"], tolerance: float
) -> Related:
    """The closest relation that holds on every pair, to rounding.

    A factor is positive, and it and an offset are each pair's own, as of maps that are scaled to
    [0, 1]. Two maps order places alike where each pair of places that one of them tells apart by
    more than the tolerance stands in the same order in the other; ties are no order.

    Args:
        one: maps of some pairs.
        other: maps of the same pairs.
        tolerance: what rounding explains, as a share of the larger range of the two maps.
    """
    one, other = one.double(), other.double()
    first, second = _range(one), _range(other)
    larger = torch.maximum(first, second)
    even = tolerance * larger.max()
    span = torch.maximum(larger, even).clamp_min(torch.finfo(torch.float64).tiny)
    telling = int(((first > even) & (second > even)).sum())
    plain = _residual(one, other, span)
    if not telling:
        return Related(Relation.NONE, plain, 0)
    for relation, residual in (
        (Relation.EQUAL, plain),
        (Relation.SCALE, _after_fit(one, other, even)),
        (Relation.AFFINE, _after_fit(_centered(one), _centered(other), even)),
    ):
        if residual <= tolerance:
            return Related(relation, residual, telling)
    alike = all(_ordered_alike(a, b, tolerance, even) for a, b in zip(one, other, strict=True))
    return Related(Relation.RANKING if alike else Relation.NONE, plain, telling)


def _range(maps: Float[Tensor, "pairs places"]) -> Float[Tensor, " pairs"]:
    low, high = maps.aminmax(dim=1)
    return high - low


def _centered(maps: Float[Tensor, "pairs places"]) -> Float[Tensor, "pairs places"]:
    return maps - maps.mean(1, keepdim=True)


def _residual(
    one: Float[Tensor, "pairs places"],
    other: Float[Tensor, "pairs places"],
    span: Float[Tensor, " pairs"],
) -> float:
    return float(((one - other).abs().amax(1) / span).max())


def _after_fit(
    one: Float[Tensor, "pairs places"], other: Float[Tensor, "pairs places"], even: Tensor
) -> float:
    """What the best positive factor of each pair leaves; infinite where it is not positive.

    Both maps are brought to length one, so that the smaller of them decides as the larger does.
    """
    lengths = [x.norm(dim=1, keepdim=True) for x in (one, other)]
    if bool(((lengths[0] > even) != (lengths[1] > even)).any()):
        return float("inf")
    a, b = (
        x / n.clamp_min(torch.finfo(x.dtype).tiny)
        for x, n in zip((one, other), lengths, strict=True)
    )
    known = (lengths[0] > even)[:, 0]
    a, b = a[known], b[known]
    if not len(a) or bool(((a * b).sum(1) <= 0).any()):
        return float("inf")
    return _residual(a, b, torch.maximum(a.abs().amax(1), b.abs().amax(1)))


def _ordered_alike(
    one: Float[Tensor, " places"], other: Float[Tensor, " places"], tolerance: float, even: Tensor
) -> bool:
    """Whether what one map orders, the other orders so as well."""
    steps = [x[:, None] - x for x in (one, other)]
    told = [s > torch.maximum(tolerance * s.max(), even) for s in steps]
    return not any(
        bool((clear & (step <= 0)).any()) for clear, step in zip(told, reversed(steps), strict=True)
    )


def weakest(found: Sequence[Related]) -> Related:
    """What holds in all of several comparisons of the same two explainers.

    Comparisons in which every map is even tell nothing.
    """
    telling = [one for one in found if one.telling]
    if not telling:
        return Related(Relation.NONE, max(one.residual for one in found), 0)
    order = list(Relation)
    last = max(telling, key=lambda one: (order.index(one.relation), one.residual))
    return Related(last.relation, last.residual, sum(one.telling for one in telling))


def rounding_of(one: Float[Tensor, "pairs ..."], other: Float[Tensor, "pairs ..."]) -> float:
    """What rounding explains of two maps, by the coarser of their dtypes."""
    return max(ROUNDING[str(maps.dtype).removeprefix("torch.")] for maps in (one, other))


def may_be_related(
    one: Float[Tensor, "pairs places"], other: Float[Tensor, "pairs places"]
) -> bool:
    """Whether maps, in whatever precision, are so alike that a closer look is worth while."""
    return any(
        still_related(one, other, relation) for relation in (Relation.AFFINE, Relation.RANKING)
    )


def still_related(
    one: Float[Tensor, "pairs places"], other: Float[Tensor, "pairs places"], relation: Relation
) -> bool:
    """Whether maps in a coarser precision contradict a relation found in a finer one."""
    if relation is Relation.NONE:
        return False
    ranks = spearman(one, other)
    if relation is Relation.RANKING:
        return bool((ranks[~ranks.isnan()] >= RANKED).all())
    order = list(Relation)
    found = relation_of(one, other, LOOSE)
    return order.index(found.relation) <= order.index(relation)


def largest_difference(one: Float[Tensor, "pairs ..."], other: Float[Tensor, "pairs ..."]) -> float:
    """Largest absolute difference over all pairs, each relative to the range of its first map."""
    span = one.flatten(1).amax(1) - one.flatten(1).amin(1)
    gap = (one - other).abs().flatten(1).amax(1)
    return float((gap / span.clamp(min=1e-12)).max())


def mean_rank_correlation(
    one: Float[Tensor, "pairs ..."], other: Float[Tensor, "pairs ..."]
) -> float:
    """Mean Spearman correlation over pairs; NaN where every map is constant."""
    ranks = spearman(one.double(), other.double())
    known = ranks[~ranks.isnan()]
    return float(known.mean()) if len(known) else float("nan")
