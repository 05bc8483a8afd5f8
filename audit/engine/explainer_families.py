"""Families of explainers that draw the same maps, and the sentences that say so. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from torch import Tensor

from audit.explainers.identities import identity_of
from audit.metrics.map_relation import (
    Related,
    Relation,
    mean_rank_correlation,
    relation_of,
    rounding_of,
    weakest,
)
from audit.result.wording import counted, number

_SAYS: Final = {
    Relation.EQUAL: "are equivalent",
    Relation.SCALE: "differ by a factor alone",
    Relation.AFFINE: "differ by a factor and an offset alone",
    Relation.RANKING: "differ, and rank alike",
    Relation.NONE: "differ",
}


@dataclass(frozen=True)
class Pairing:
    """Two explainers and how their maps are related.

    Attributes:
        one: name of the first.
        other: that of the other.
        relation: a value of `Relation`.
        residual: what the relation leaves, as a share of the map's range; of maps that are not
            related the largest difference, None where one is of the picture and one of the text.
        rank_correlation: mean over pairs and models; None for even maps.
        tolerance: what rounding explains.
        algebra: why, where it is known.
    """

    one: str
    other: str
    relation: str
    residual: float | None
    rank_correlation: float | None
    tolerance: float
    algebra: str = ""

    @classmethod
    def of(
        cls,
        one: str,
        other: str,
        maps: Sequence[tuple[tuple[bool, Tensor], tuple[bool, Tensor]]],
    ) -> Pairing:
        """Compare maps.

        Args:
            one: name of the first.
            other: that of the other.
            maps: of both on each model: whether they are of tokens, and a row a pair.
        """
        tolerance = max(rounding_of(a, b) for (_, a), (_, b) in maps)
        if any(first[0] != second[0] for first, second in maps):
            return cls(one, other, Relation.NONE.value, None, None, tolerance)
        found = weakest([relation_of(a, b, tolerance) for (_, a), (_, b) in maps])
        ranks = [mean_rank_correlation(a, b) for (_, a), (_, b) in maps]
        known = [r for r in ranks if not math.isnan(r)]
        why = identity_of(one, other)
        return cls(
            one,
            other,
            found.relation.value,
            found.residual,
            sum(known) / len(known) if known else None,
            tolerance,
            _algebra(why.algebra if why and why.relation is found.relation else "", found),
        )

    @property
    def related(self) -> bool:
        """Whether one map follows from the other."""
        return self.relation != Relation.NONE

    def sentence(self, pairs: int, models: int) -> str:
        """How far the maps differ, in words."""
        said = f"{self.one} and {self.other} {_SAYS[Relation(self.relation)]}: over "
        said += f"{counted(pairs, 'pair')} on {counted(models, 'model')} "
        if self.residual is None:
            return f"{said}one explains the picture and one the text."
        left = "what is left is" if self.relation in _FITTED else "the maps differ by"
        said += f"{left} at most {number(self.residual)} of their range (tolerance "
        said += f"{number(self.tolerance)})"
        if self.rank_correlation is not None:
            said += f", mean rank correlation {self.rank_correlation:.4f}"
        return f"{said}; {self.algebra}." if self.algebra else f"{said}."


_FITTED: Final = (Relation.SCALE, Relation.AFFINE)


def _algebra(known: str, found: Related) -> str:
    return known if found.telling else "every map is even, which tells nothing"


@dataclass(frozen=True)
class Equivalence:
    """Whether the maps of all explainers agree, and the sentence that says so.

    Attributes:
        equivalent: whether all of them do.
        sentence: of two explainers how far they differ, of more how many families there are.
        families: names of explainers that are equivalent, those without any left out.
        pairings: every two explainers.
        pairs: of the data, over all models that were given.
        models: that maps were compared on.
        left_out: explainers that cannot explain a model, each with the reason.
    """

    equivalent: bool
    sentence: str
    families: tuple[tuple[str, ...], ...] = ()
    pairings: tuple[Pairing, ...] = ()
    pairs: int = 0
    models: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, found: Mapping[str, Any]) -> Equivalence:
        """Out of what `dataclasses.asdict` gives, as JSON holds it."""
        pairings = tuple(Pairing(**one) for one in found["pairings"])
        families = tuple(tuple(family) for family in found["families"])
        return cls(**{**found, "pairings": pairings, "families": families})

    def lines(self) -> Iterator[str]:
        """For a terminal: of more than two explainers, families and related ones as well."""
        yield self.sentence
        if len(self.pairings) < 2:
            return
        for family in self.families:
            yield f"equivalent: {', '.join(family)}"
        for one in self.pairings:
            if one.related:
                yield one.sentence(self.pairs, self.models)
        for name, why in self.left_out.items():
            yield f"left out: {name}: {why}"


def equivalence_of(
    names: Sequence[str],
    pairings: Sequence[Pairing],
    pairs: int,
    models: int,
    left_out: Mapping[str, str],
) -> Equivalence:
    """What was found of some explainers.

    Args:
        names: of them.
        pairings: every two of them.
        pairs: of the data.
        models: that they were compared on.
        left_out: others, that cannot explain a model.
    """
    families = families_of(names, pairings)
    if len(pairings) == 1:
        sentence = pairings[0].sentence(pairs, models)
    else:
        alone = len(names) - sum(map(len, families))
        grouped = "1 family" if len(families) == 1 else f"{len(families)} families"
        sentence = (
            f"{counted(len(names), 'explainer')} over {counted(pairs, 'pair')} on "
            f"{counted(models, 'model')}: {counted(len(names) - alone, 'explainer')} in "
            f"{grouped} of the same maps, {alone} with maps of their own."
        )
    same = bool(families) and len(families[0]) == len(names)
    return Equivalence(same, sentence, families, tuple(pairings), pairs, models, dict(left_out))


def families_of(names: Sequence[str], pairings: Sequence[Pairing]) -> tuple[tuple[str, ...], ...]:
    """Explainers of which each two are equivalent, by the first of them.

    Rounding adds up along a chain: one joins a family only where it equals all of it.
    """
    equal = {frozenset((p.one, p.other)) for p in pairings if p.relation == Relation.EQUAL}
    families: list[list[str]] = []
    for name in names:
        for family in families:
            if all(frozenset((name, one)) in equal for one in family):
                family.append(name)
                break
        else:
            families.append([name])
    return tuple(tuple(family) for family in families if len(family) > 1)
