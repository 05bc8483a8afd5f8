"""Grids: labelled pictures composed to one, so that the cell of a class is its exact mask.

n × n pictures of distinct classes stand in one input. The same n² pictures stand in the n² grids of
a *set*, each once in every cell, so that position tells nothing of the class: a map that is always
the same scores chance. Grids of a set share their pictures, so the set is the cluster that
is drawn and split as a whole. Source: the grid pointing game (Böhle, Fritz and Schiele, CVPR 2021;
Rao, Böhle and Schiele, CVPR 2022) and the mosaics of Focus (Arias-Duart et al., FUZZ-IEEE 2022),
which put two pictures of either class into each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from audit.data.class_targets import ClassTargets, class_targets
from audit.data.drawn_pairs import expect_all_usable, told_notes
from audit.data.errors import NoGridError
from audit.data.grid_layout import cell_mask, composed, picture_in, squared, turns
from audit.data.labelled_pictures import LabelledPictures
from audit.data.pairs import ModelInputs, Pairs, Skipped, left_out
from audit.result.wording import counted

_READ_AT_ONCE = 64  # pictures, before it is seen whether more are needed
_FEWEST = 2  # cells on either side
_PROBE = 32  # pixels of a blank picture, which shows how large pictures enter the model


@dataclass(frozen=True)
class Member:
    """A picture that stands in the grids of a set.

    Attributes:
        id: of the row that it is drawn by.
        label: the class that it is asked for.
        shows: all classes that it shows.
        square: what of it is composed.
    """

    id: str
    label: int
    shows: frozenset[int]
    square: Image.Image


@dataclass
class _Filling:
    """Sets that are filled in the order in which pictures come.

    Attributes:
        size: pictures of a set.
        wanted: number of sets, None for as many as there are.
    """

    size: int
    wanted: int | None
    done: list[tuple[Member, ...]] = field(default_factory=list)
    begun: list[list[Member]] = field(default_factory=list)

    @property
    def enough(self) -> bool:
        return self.wanted is not None and len(self.done) >= self.wanted

    def place(self, one: Member) -> None:
        """Into the first set none of whose pictures shows a class that this one shows."""
        for members in self.begun:
            if all(one.shows.isdisjoint(other.shows) for other in members):
                members.append(one)
                if len(members) == self.size:
                    self.begun.remove(members)
                    self.done.append(tuple(members))
                return
        if self.wanted is None or len(self.done) + len(self.begun) < self.wanted:
            self.begun.append([one])


@dataclass(frozen=True)
class _Asked:
    """One pair: a picture in a cell of a grid of a set."""

    set: int
    grid: int
    cell: int
    member: Member


def grid_pairs(
    model: ModelInputs,
    data: LabelledPictures,
    n: int,
    count: int | None,
    *,
    seed: int,
    template: str,
) -> Pairs:
    """Pairs of grids of n × n pictures.

    There are as many sets as it takes when each is asked in one turn (`grid_layout.turns`); where
    there are too few pictures for that, sets are asked in more turns. A cell is as large as what
    enters the model, and holds the middle square of its picture; the canvas is preprocessed as any
    picture is.

    Args:
        model: preprocesses pictures and prompts.
        data: labelled pictures; masks are not used.
        n: cells on either side.
        count: how many pairs, brought up to whole turns; None for all.
        seed: of the draw of pictures, and of their places in a set.
        template: prompt of a class, see `class_targets`.

    Raises:
        NoGridError: too few pictures of distinct classes.
        DataError: one that cannot be used where the data are `strict`.
    """
    asked = class_targets(model, data, template)
    wanted = None if count is None else math.ceil(count / n**2)
    sets, wrong, told = _sets(data, asked, n, wanted, seed, input_side(model))
    if not sets:
        raise _too_few(data, asked, n, (*wrong, *data.skipped))
    pairs = list(_asked(sets, n, wanted))
    return Pairs(
        name=data.name,
        ids=tuple(f"set-{one.set}-grid-{one.grid}-{one.member.id}" for one in pairs),
        images=torch.stack([model.preprocess(canvas) for canvas in _canvases(sets, n)]),
        picture=torch.tensor([one.set * n * n + one.grid for one in pairs]),
        labels=torch.tensor([one.member.label for one in pairs]),
        present=_present(sets, n, len(asked.names)),
        masks=cell_masks(model, n)[torch.tensor([one.cell for one in pairs])],
        classes=asked.names,
        templates=asked.templates,
        targets=asked.targets,
        averaged=asked.averaged,
        notes=(*data.notes, *asked.notes, *told_notes(told)),
        skipped=(*data.skipped, *wrong),
        balanced=True,  # each picture stands once in every cell
        grid=n,
        sets=torch.tensor([one.set for one in pairs]),
    )


def cell_masks(model: ModelInputs, n: int) -> Bool[Tensor, "cells H W"]:
    """Where each cell of a grid is in the model's input."""
    side = input_side(model)
    masks = [model.preprocess_mask(cell_mask(c, n, side))[0] > 0.5 for c in range(n * n)]
    return torch.stack(masks)


def input_side(model: ModelInputs) -> int:
    """Side of the pictures that enter a model, in pixels."""
    return int(model.preprocess(Image.new("RGB", (_PROBE, _PROBE))).shape[-1])


def can_compose(data: LabelledPictures, n: int) -> bool:
    """Whether the labels allow for a grid at all."""
    return bool(data.table["class"].nunique() >= n * n)


def _sets(
    data: LabelledPictures,
    asked: ClassTargets,
    n: int,
    wanted: int | None,
    seed: int,
    side: int,
) -> tuple[list[tuple[Member, ...]], list[Skipped], Counter[str]]:
    """Sets of pictures of distinct classes, what could not be used, and what was done to some.

    Args:
        data: to draw from.
        asked: the classes.
        n: cells on either side.
        wanted: number of sets, None for as many as there are.
        seed: of the draw.
        side: of a cell, in pixels.
    """
    order = np.random.default_rng(seed).permutation(len(data.table))
    rows = data.table.iloc[order].drop_duplicates("image")
    shown = _shown(data, asked)
    filling, wrong = _Filling(n * n, wanted), list[Skipped]()
    told: Counter[str] = Counter()
    plain, good = replace(data, mask=None), 0
    for start in range(0, len(rows) if can_compose(data, n) else 0, _READ_AT_ONCE):
        if filling.enough:
            break
        some = rows.iloc[start : start + _READ_AT_ONCE]
        for one, row in zip(plain.read(some), some.to_dict("records"), strict=True):
            wrong += one.wrong
            if one.opened is not None and not filling.enough:
                good += 1
                told.update(one.opened.told)
                shows = shown[one.name].union(asked.number[i] for i in one.also)
                square = squared(one.opened.picture, side)
                filling.place(Member(str(row["id"]), asked.number[row["class"]], shows, square))
    if data.strict:
        expect_all_usable(data, wrong, good)
    return filling.done, wrong, told


def _too_few(
    data: LabelledPictures, asked: ClassTargets, n: int, skipped: Sequence[Skipped]
) -> NoGridError:
    pictures = counted(data.table["image"].nunique(), "picture")
    classes = len({asked.number[one] for one in data.table["class"]})
    smaller = ", or a smaller --grid" if n > _FEWEST else ""
    found = f"too few in {pictures} of {classes:,} that the model tells apart"
    return NoGridError(
        f"{data.name}: expected {n * n} pictures of distinct classes for a grid of {n}×{n}, found "
        f"{found}; give --grid off{smaller}{left_out(skipped)}",
        found,
    )


def _shown(data: LabelledPictures, asked: ClassTargets) -> dict[str, frozenset[int]]:
    """What each picture shows by all of its rows."""
    classes = data.table["class"].map(dict(enumerate(asked.number)))
    return {str(name): frozenset(own) for name, own in classes.groupby(data.table["image"])}


def _asked(sets: list[tuple[Member, ...]], n: int, wanted: int | None) -> Iterator[_Asked]:
    """The pairs of ``wanted`` turns, shared evenly among the sets, or of all that there are."""
    grids, pictures = turns(n)
    most = len(sets) * n * n
    asks = most if wanted is None else min(wanted, most)
    for number, members in enumerate(sets):
        for turn in range(asks // len(sets) + (number < asks % len(sets))):
            for cell in range(n * n):
                member = members[pictures[turn, cell]]
                yield _Asked(number, int(grids[turn, cell]), cell, member)


def _canvases(sets: list[tuple[Member, ...]], n: int) -> Iterator[Image.Image]:
    """The grids of every set."""
    for members in sets:
        for places in picture_in(n):
            yield composed([members[p].square for p in places], n)


def _present(
    sets: list[tuple[Member, ...]], n: int, classes: int
) -> Bool[Tensor, "pictures classes"]:
    """Which classes each grid shows: those of all pictures of its set."""
    present = torch.zeros(len(sets), classes, dtype=torch.bool)
    for number, members in enumerate(sets):
        present[number, list(frozenset().union(*(one.shows for one in members)))] = True
    return present.repeat_interleave(n * n, 0)
