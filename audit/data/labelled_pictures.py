"""Labelled pictures as a source has them: before any model has seen one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from PIL import Image

from audit.data.errors import DataError
from audit.data.pairs import Skipped
from audit.data.picture_files import in_parallel
from audit.data.upright import OpenedPicture, PictureError
from audit.result.wording import counted

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class LabelledPictures:
    """What a source of data gives.

    Attributes:
        name: what the data is called in reports.
        table: one row for each thing that a picture shows, with the columns ``id`` (unique text),
            ``image`` (a name that `open` takes), ``class`` (its number), and whatever `mask` reads.
        classes: names of the classes, in the order of their numbers.
        open: the picture of a name.
        mask: where a row's object is in a picture, as 0 and 255; None where there are no masks.
        known_as: names by which a model with a class head may know the classes for certain, such
            as synsets or numbers; empty where there are none.
        texts: whether the names of the classes are whole texts, which stand in no prompt.
        strict: whether one file that cannot be used ends the audit, rather than being left out.
        shows: further classes that a picture shows, beside those of its rows.
        notes: what a reader of the result should know of the data, as sentences.
        skipped: what the source has left out.
    """

    name: str
    table: pd.DataFrame
    classes: tuple[str, ...]
    open: Callable[[str], OpenedPicture]
    mask: Callable[[Row, OpenedPicture], Image.Image] | None = None
    known_as: tuple[str, ...] = ()
    texts: bool = False
    strict: bool = False
    shows: Callable[[str], Iterable[int]] | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def sound(self) -> LabelledPictures:
        """The same pictures, with rows that are numbered from 0.

        Raises:
            DataError: the table lacks a column, an id is twice, or a class has no name.
        """
        missing = [one for one in ("id", "image", "class") if one not in self.table]
        if missing:
            raise DataError(
                f"{self.name}: expected the columns id, image and class, found no "
                f"{' or '.join(missing)}"
            )
        table = self.table.astype({"id": str, "image": str}).reset_index(drop=True)
        twice = table["id"][table["id"].duplicated()]
        if len(twice):
            raise DataError(f"{self.name}: expected unique ids, '{twice.iloc[0]}' is twice")
        known = table["class"].isin(range(len(self.classes)))
        if not known.all():
            raise DataError(
                f"{self.name}: expected classes from 0 to {len(self.classes) - 1}, the number of "
                f"their names, found {table['class'][~known].iloc[0]} in the row of id "
                f"'{table['id'][~known].iloc[0]}'"
            )
        return replace(self, table=table)

    def without(self, classes: Collection[int], why: str) -> LabelledPictures:
        """The same pictures as if some classes were not among what they show; each is told.

        Args:
            classes: their numbers.
            why: they are left out.
        """
        kept = [i for i in range(len(self.classes)) if i not in classes]
        number = {old: new for new, old in enumerate(kept)}
        table = self.table[self.table["class"].isin(number)].reset_index(drop=True)
        table["class"] = table["class"].map(number)
        times = self.table["class"].value_counts()
        mask, shows = self.mask, self.shows

        def shown(name: str) -> Iterator[int]:
            also = () if shows is None else shows(name)
            return (number.get(i, i) for i in also if i not in classes)

        return replace(
            self,
            table=table,
            classes=tuple(self.classes[i] for i in kept),
            known_as=tuple(self.known_as[i] for i in kept) if self.known_as else (),
            mask=None if mask is None else lambda row, seen: mask(_numbered(row, kept), seen),
            shows=None if shows is None else shown,
            skipped=(
                *self.skipped,
                *(
                    Skipped(f"{self.classes[i]} ({counted(int(times.get(i, 0)), 'row')})", why)
                    for i in sorted(classes)
                ),
            ),
        )

    def read(self, rows: pd.DataFrame) -> Iterator[ReadPicture]:
        """The pictures of some rows with their masks, in the order in which rows first name them.

        Nothing is raised: what is wrong with a file stands in what is read.
        """
        groups = [(str(name), own) for name, own in rows.groupby("image", sort=False)]
        yield from in_parallel(groups, lambda group: self._read(*group))

    def _also(self, name: str) -> tuple[int, ...]:
        """Classes that a picture shows beside those of its rows.

        Raises:
            PictureError: one has no name.
        """
        also = tuple(self.shows(name)) if self.shows else ()
        beyond = [one for one in also if not 0 <= one < len(self.classes)]
        if beyond:
            raise PictureError(
                f"expected to show classes from 0 to {len(self.classes) - 1}, found {beyond[0]}"
            )
        return also

    def _read(self, name: str, rows: pd.DataFrame) -> ReadPicture:
        try:
            opened = self.open(name)
            also = self._also(name)
        except PictureError as error:
            return ReadPicture(name, None, {}, (Skipped(name, str(error)),))
        if self.mask is None:
            return ReadPicture(name, opened, dict.fromkeys(rows.index), (), also)
        masks: dict[int, Image.Image | None] = {}
        wrong = []
        for number, row in zip(rows.index, rows.to_dict("records"), strict=True):
            try:
                masks[number] = self.mask(row, opened)
            except PictureError as error:
                wrong.append(Skipped(f"{name}, id {row['id']}", str(error)))
        return ReadPicture(name, opened, masks, tuple(wrong), also)


def _numbered(row: Row, own: Sequence[int]) -> Row:
    """A row with the number that its class has in the source."""
    return {**row, "class": own[row["class"]]}


@dataclass(frozen=True)
class ReadPicture:
    """A picture that was read.

    Attributes:
        name: of the picture.
        opened: None where it cannot be used.
        masks: of those of its rows that can be used, by the row's number; None without masks.
        wrong: what cannot be used, and why.
        also: classes that it shows beside those of its rows.
    """

    name: str
    opened: OpenedPicture | None
    masks: dict[int, Image.Image | None]
    wrong: tuple[Skipped, ...]
    also: tuple[int, ...] = ()
