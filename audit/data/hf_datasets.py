"""Labelled pictures that the library datasets saved to disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.mask_files import moved_mask, object_in
from audit.data.pairs import Skipped
from audit.data.picture_files import (
    inside,
    open_picture,
    open_stored,
    picture_in_bytes,
    stored_in_bytes,
)
from audit.data.upright import OpenedPicture, PictureError

_LABELS = ("label", "labels", "fine_label", "text", "caption")
_TEXTS = ("text", "caption")
_SPLITS = ("test", "validation", "val")


def load_hf_dataset(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The pictures of a folder of ``save_to_disk``; nothing of it is executed, or fetched.

    Args:
        name: the folder. Of several splits test, else validation, else the only one is read. It has
            a column of pictures; ``label`` (class labels or text) or ``text``; optionally ``mask``.
        allow_outside: also read pictures that are not in the data, but elsewhere on this machine.

    Raises:
        DataError: it is no such folder, or lacks a column.
    """
    rows = _load(name)
    pictures = [n for n, f in rows.features.items() if type(f).__name__ == "Image"]
    picture = "image" if "image" in pictures else next((n for n in pictures if n != "mask"), None)
    column = next((n for n in _LABELS if n in rows.features), None)
    if picture is None or column is None:
        raise DataError(
            f"hf:{name}: expected a column of pictures, and one of {', '.join(_LABELS)}, found "
            f"{', '.join(rows.features)}"
        )
    masked = "mask" in pictures
    if "mask" in rows.features and not masked:
        kind = type(rows.features["mask"]).__name__
        raise DataError(
            f"hf:{name}: expected pictures in the column mask, found {kind}; cast it to Image, or "
            "rename it"
        )
    content = _Content(Path(name), rows, picture, "mask" if masked else "", allow_outside)
    classes, numbers = _classes(name, rows, column)
    table = pd.DataFrame({"id": _ids(name, rows), "image": [str(i) for i in range(len(rows))]})
    table["class"] = numbers
    labelled = table["class"] >= 0
    rest = [n for n in rows.features if n not in {picture, column, "id", "mask"}]
    return LabelledPictures(
        name=Path(name).resolve().name,
        table=table[labelled].reset_index(drop=True),
        classes=classes,
        open=content.picture,
        mask=content.mask if masked else None,
        texts=column in _TEXTS,
        notes=(f"Columns of the data that are not read: {', '.join(rest)}.",) if rest else (),
        skipped=tuple(Skipped(one, "it has no label") for one in table["id"][~labelled]),
    )


@dataclass(frozen=True)
class _Content:
    """The files in the rows of a data set."""

    folder: Path
    rows: Any
    pictures: str
    masks: str
    allow_outside: bool

    def picture(self, name: str) -> OpenedPicture:
        found = self._file(int(name), self.pictures)
        return picture_in_bytes(found) if isinstance(found, bytes) else open_picture(found)

    def mask(self, row: Row, opened: OpenedPicture) -> Image.Image:
        found = self._file(int(row["image"]), self.masks)
        stored = stored_in_bytes(found) if isinstance(found, bytes) else open_stored(found)
        return moved_mask(object_in(stored), opened)

    def _file(self, number: int, column: str) -> bytes | Path:
        """The content of a file, or where it is."""
        found = self.rows[number][column] or {}
        if found.get("bytes"):
            return bytes(found["bytes"])
        if not found.get("path"):
            raise PictureError("expected a picture, found none in its row")
        return inside(self.folder, found["path"], allow_outside=self.allow_outside)


def _classes(name: str, rows: Any, column: str) -> tuple[tuple[str, ...], list[int]]:
    """The names of all classes, and the number of each row's, -1 where it has none.

    Raises:
        DataError: rows have lists, or other tables, of labels.
    """
    feature, labels = rows.features[column], rows[column]
    names = getattr(feature, "names", None)
    if names is not None:
        first = {name: i for i, name in reversed(list(enumerate(names)))}
        return tuple(names), [-1 if one is None or one < 0 else first[names[one]] for one in labels]
    nested = next((one for one in labels if isinstance(one, (list, dict))), None)
    if nested is not None:
        raise DataError(
            f"hf:{name}: expected one label in column {column} of every row, found {nested}; save "
            "a row for each label, with an id of its own"
        )
    written = [str(one) if one is not None and str(one).strip() else None for one in labels]
    known = sorted({one for one in written if one is not None})
    number = {one: i for i, one in enumerate(known)}
    return tuple(known), [-1 if one is None else number[one] for one in written]


def _ids(name: str, rows: Any) -> list[str]:
    ids = [str(one) for one in (rows["id"] if "id" in rows.features else range(len(rows)))]
    if len(set(ids)) < len(ids):
        raise DataError(f"hf:{name}: expected unique ids in the column id, found some twice")
    return ids


def _load(name: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"hf:{name}: expected the library datasets, found none; "
            'pip install "explainer-audit[datasets]"'
        ) from error
    try:
        found: Any = datasets.load_from_disk(name)
    except Exception as error:  # of whatever the files hold
        cause = " ".join(str(error).split())
        raise DataError(f"hf:{name}: expected a folder of save_to_disk ({cause})") from error
    if isinstance(found, dict):
        split = next((one for one in _SPLITS if one in found), None)
        if split is None and len(found) != 1:
            raise DataError(
                f"hf:{name}: expected a split test or validation, found {', '.join(found)}; save "
                "one of them"
            )
        found = found[split or next(iter(found))]
    for column, feature in found.features.items():
        if type(feature).__name__ == "Image":
            found = found.cast_column(column, datasets.Image(decode=False))
    return found
