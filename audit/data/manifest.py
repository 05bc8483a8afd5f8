"""Labelled pictures of a manifest: a CSV or Parquet file of pictures, labels, masks or boxes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from PIL import Image

from audit.data.data_sources import manifest_at
from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.manifest_boxes import boxes_of
from audit.data.manifest_table import INDEX, VALUE, expect_values, read_rows, read_table
from audit.data.mask_files import moved_mask, object_in
from audit.data.pairs import Skipped
from audit.data.picture_files import inside, open_stored, opener
from audit.data.upright import OpenedPicture, PictureError

Key = tuple[str, str]


def load_manifest(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The pictures of a manifest.

    Args:
        name: a file, or a folder that holds ``manifest.csv`` or ``manifest.parquet``. Columns:
            ``image``; ``label`` or ``text``; optionally ``id``; ``class_index``, which tells apart
            classes that share a label; ``mask`` (a picture file) with ``mask_value``; or a box as
            `audit.data.manifest_boxes` reads it. Paths are relative to the manifest. A file
            ``classes.csv`` beside it with a column ``label`` names all classes.
        allow_outside: also read pictures that do not lie under the manifest's folder.

    Raises:
        DataError: missing file, column, label or box, or a label that is not among the classes.
    """
    path = manifest_at(Path(name))
    table, column = read_rows(path)
    rows, classes = _classes(path, table, column)
    number = {key: i for i, key in enumerate(classes)}
    table["class"] = [number[key] for key in rows]
    known_as = tuple(index for _, index in classes)
    mask, place = _mask_reader(path, table, allow_outside=allow_outside)
    table, twice = _once(table, ["image", "class", *place])
    read = {"image", "id", column, *place, *([INDEX] if any(known_as) else [])}
    rest = [str(one) for one in table.columns if one not in {*read, "class"}]
    return LabelledPictures(
        name=path.parent.name or path.name,
        table=table,
        classes=tuple(label for label, _ in classes),
        open=opener(path.parent, allow_outside=allow_outside),
        mask=mask,
        known_as=known_as if all(known_as) else (),
        texts=column == "text",
        strict=True,
        notes=(f"Columns of the manifest that are not read: {', '.join(rest)}.",) if rest else (),
        skipped=twice,
    )


def _once(table: pd.DataFrame, columns: list[str]) -> tuple[pd.DataFrame, tuple[Skipped, ...]]:
    """The rows that are the first to say what stands in some columns, and the other ones."""
    alike = table[table.duplicated(columns, keep=False)]
    first = alike.groupby(columns, sort=False)["id"].transform("first")
    twice = alike[alike["id"] != first]
    skipped = tuple(
        Skipped(f"id {one}", f"it says the same as id {other}")
        for one, other in zip(twice["id"], first[twice.index], strict=True)
    )
    return table.drop(index=twice.index).reset_index(drop=True), skipped


def _mask_reader(
    path: Path, table: pd.DataFrame, *, allow_outside: bool
) -> tuple[Callable[[Row, OpenedPicture], Image.Image] | None, tuple[str, ...]]:
    """What reads where objects are, and the columns that say it."""
    if "mask" in table:
        columns = tuple(one for one in ("mask", VALUE) if one in table)
        return partial(_mask_of_file, path.parent, allow_outside=allow_outside), columns
    boxes = boxes_of(path, table)
    return (None, ()) if boxes is None else (boxes.mask, boxes.columns)


def _mask_of_file(
    folder: Path, row: Row, opened: OpenedPicture, *, allow_outside: bool
) -> Image.Image:
    """The mask of a row; what is wrong with its file is said with its name."""
    name, value = str(row["mask"]), row.get(VALUE)
    try:
        stored = open_stored(inside(folder, name, allow_outside=allow_outside))
        return moved_mask(object_in(stored, None if value is None else int(value)), opened)
    except PictureError as error:
        raise PictureError(f"its mask '{name}': {error}") from error


def _classes(path: Path, table: pd.DataFrame, column: str) -> tuple[list[Key], list[Key]]:
    """The class of each row, and every class, as its label and, if told, its number."""
    beside = path.parent / "classes.csv"
    named = read_table(beside) if beside.is_file() else None
    if named is not None and "label" not in named:
        raise DataError(
            f"{beside}: expected a column label with the names of all classes, found "
            f"{', '.join(map(str, named.columns))}"
        )
    if named is not None:
        expect_values(beside, named, ["label"])
    numbered = all(INDEX in one for one in (table, table if named is None else named))
    rows = _keys(table, column, numbered=numbered)
    if named is None:
        return rows, sorted(set(rows))
    every = list(dict.fromkeys(_keys(named, "label", numbered=numbered)))
    unknown = sorted(set(rows) - set(every))
    if unknown:
        label, number = unknown[0]
        also = f" with class_index {number}" if number else ""
        raise DataError(f"{path}: label '{label}'{also} is not in classes.csv beside it")
    return rows, every


def _keys(table: pd.DataFrame, column: str, *, numbered: bool) -> list[Key]:
    numbers = table[INDEX].map(_number) if numbered else [""] * len(table)
    return list(zip(table[column].astype(str), numbers, strict=True))


def _number(written: object) -> str:
    """The number of a class as it is written; of Parquet's 3.0 it is 3."""
    return f"{written:.0f}" if isinstance(written, float) and written.is_integer() else str(written)
