"""Lineage: where the values of a tensor come from, back to the nearest known state of the model.

A tensor whose values equal a state of the unmodified model (an *anchor*) has that state as its
whole lineage, however it was computed. Any other tensor inherits what its operands have, plus the
parameters of the model that entered it on the way. So the lineage of the explained scalar names the
frontier: the last values that were still the model's, and what happened after them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from audit.models.transformer_block import TowerName

OUTPUTS = "outputs"
"""What the model's own call gives, where its feature is computed of that."""
TERMINAL_SITES = frozenset({"feature", "unit feature", OUTPUTS})
ORDERED_SITES = TERMINAL_SITES | {"input", "output", "after attention", "final norm"}


@dataclass(frozen=True, order=True)
class Anchor:
    """A state of the unmodified model.

    Attributes:
        tower: which tower.
        block: which block; the number of blocks for what follows the last one.
        site: what the state is, such as ``attention`` or ``unit feature``.
        part: which tokens: ``all``, the ``pooled`` one, or the ``patches``.
        run: number of the pass whose input it was computed from.
    """

    tower: TowerName
    block: int
    site: str
    part: str
    run: int

    @property
    def terminal(self) -> bool:
        """True for features: nothing of the tower follows."""
        return self.site in TERMINAL_SITES


def words_of(anchor: Anchor, where: str) -> str:
    """A state of the model in words.

    Args:
        anchor: the state.
        where: its block in words.
    """
    return f"{anchor.tower} {where} {anchor.site}"


@dataclass(frozen=True)
class Lineage:
    """What a tensor descends from.

    Attributes:
        anchors: nearest states of the unmodified model upstream.
        params: the model's parameters that entered since.
        events: numbers of recorded attention calls that differ from the model's, since.
        alterations: numbers of recorded places where altered values entered a block.
        surrogates: numbers of recorded places where another state than the pooled one entered the
            final norm.
        foreign: numbers of recorded places where values from nowhere were mixed into a feature.
        scalars: numbers of recorded scalars whose gradient it is.
        scores: numbers of recorded scores that it is made of, each one number for a picture made of
            many for its tokens; what these descend from is theirs, not its own.
        unknown: numbers of recorded places where values of unknown origin entered.
        outside: places where values entered that were made before this explanation or outside of
            torch, which says nothing against them as long as no feature is made of them.
        alike: numbers of recorded attentions of values or tokens to their like, since, which say
            nothing against them as long as they do not take the place of the model's attention.
    """

    anchors: frozenset[Anchor] = frozenset()
    params: frozenset[str] = frozenset()
    events: frozenset[int] = frozenset()
    alterations: frozenset[int] = frozenset()
    surrogates: frozenset[int] = frozenset()
    foreign: frozenset[int] = frozenset()
    scalars: frozenset[int] = frozenset()
    scores: frozenset[int] = frozenset()
    unknown: frozenset[int] = frozenset()
    outside: frozenset[str] = frozenset()
    alike: frozenset[int] = frozenset()

    @property
    def empty(self) -> bool:
        """True where nothing of the model is upstream."""
        return self is EMPTY or replace(self, outside=frozenset()) == EMPTY

    @property
    def deviates(self) -> bool:
        """True where something other than the unmodified model is upstream."""
        return bool(
            self.params or self.events or self.alterations or self.surrogates or self.foreign
        )

    def replaced(self, anchor: Anchor, by: Anchor) -> Lineage:
        """The same with another anchor in the place of one."""
        return replace(self, anchors=self.anchors - {anchor} | {by})

    def inherited(self, anchors: frozenset[Anchor]) -> Lineage:
        """The lineage of a state that the unmodified model computes from these values."""
        return replace(self, anchors=anchors, scalars=frozenset(), scores=frozenset())


EMPTY = Lineage()


def union(parts: Iterable[Lineage]) -> Lineage:
    """What a tensor inherits from its operands."""
    distinct = {id(part): part for part in parts if part is not EMPTY}
    if not distinct:
        return EMPTY
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    lists = list(distinct.values())
    return Lineage(*(frozenset().union(*fields) for fields in zip(*map(_fields, lists))))  # noqa: B905


def _fields(part: Lineage) -> tuple[frozenset[object], ...]:
    return (
        part.anchors,
        part.params,
        part.events,
        part.alterations,
        part.surrogates,
        part.foreign,
        part.scalars,
        part.scores,
        part.unknown,
        part.outside,
        part.alike,
    )
