"""Boxes in the columns of a manifest, in the forms that people write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from PIL import Image

from audit.data.errors import DataError
from audit.data.manifest_table import CORNERS, SIZES
from audit.data.mask_files import box_mask
from audit.data.upright import OpenedPicture, PictureError

_OTHER_NAMES = ("xmin", "ymin", "xmax", "ymax"), ("left", "top", "right", "bottom")
_ROUNDING = 1e-6  # by which fractions may lie beyond 0 and 1
_FORM = (
    "whole numbers of pixels in x0, y0, x1, y1 (inclusive), pixels in x, y, w, h, or fractions of "
    "the picture between 0 and 1 in every row"
)


@dataclass(frozen=True)
class Boxes:
    """How the boxes of a manifest are written.

    Attributes:
        columns: four of them.
        fractions: of the picture's sides, rather than pixels.
    """

    columns: tuple[str, ...]
    fractions: bool = False

    def mask(self, row: Mapping[str, Any], opened: OpenedPicture) -> Image.Image:
        """The box of a row as a mask of its picture.

        Raises:
            PictureError: it does not lie in the picture.
        """
        a, b, c, d = (float(row[column]) for column in self.columns)
        sized = self.columns != CORNERS
        if sized and not (c > 0 and d > 0):
            raise PictureError(
                f"expected a box with a width and a height, found {a}, {b}, {c}, {d}"
            )
        if not (sized or self.fractions):
            return box_mask((int(a), int(b), int(c), int(d)), opened)
        width, height = opened.stored if self.fractions else (1, 1)
        if self.fractions:
            a, b, c, d = (min(max(number, 0.0), 1.0) for number in (a, b, c, d))
        right, bottom = (a + c, b + d) if sized else (c, d)
        x0, y0 = math.floor(a * width), math.floor(b * height)
        x1, y1 = math.ceil(right * width) - 1, math.ceil(bottom * height) - 1
        return box_mask((x0, y0, x1, y1), opened)


def boxes_of(path: Path, table: pd.DataFrame) -> Boxes | None:
    """How a table writes its boxes, None where it has none.

    Raises:
        DataError: some of the four columns are missing, or their numbers have no plain meaning.
    """
    if "bbox" in table:
        raise DataError(
            f"{path}: expected a box in four columns, found a column bbox; write it as x, y, w, h"
        )
    sized = max(SIZES, key=lambda form: sum(column in table for column in form))
    for columns, asks in ((CORNERS, CORNERS), (sized, ("x", "y"))):
        if not any(column in table for column in asks):
            continue
        missing = [column for column in columns if column not in table]
        if missing:
            raise DataError(
                f"{path}: expected all of the columns {', '.join(columns)} or none, found no "
                f"{', '.join(missing)}; add what is missing, or leave the others out"
            )
        return _checked(path, table, columns)
    _expect_no_other_names(path, table)
    return None


def _expect_no_other_names(path: Path, table: pd.DataFrame) -> None:
    """No four columns are a box by other names, which say less of what is meant."""
    written = {str(one).strip().lower().replace("_", ""): one for one in table.columns}
    for names in _OTHER_NAMES:
        if all(one in written for one in names):
            found = ", ".join(str(written[one]) for one in names)
            raise DataError(
                f"{path}: expected a box in the columns {', '.join(CORNERS)}, found {found}; "
                f"rename them, and write the box as {_FORM}"
            )


def _checked(path: Path, table: pd.DataFrame, columns: tuple[str, ...]) -> Boxes:
    numbers = np.empty((len(table), len(columns)))
    for i, column in enumerate(columns):
        numbers[:, i] = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float)
        wrong = ~np.isfinite(numbers[:, i])
        if wrong.any():
            _refuse(path, table, int(wrong.argmax()), column)
    whole = numbers == np.rint(numbers)
    within = ((numbers >= -_ROUNDING) & (numbers <= 1 + _ROUNDING)).all(1, keepdims=True)
    if within.all():
        if whole.all():
            _refuse_whole_pictures(path, columns)
        return Boxes(columns, fractions=True)
    broken = np.argwhere(~whole & (within | (columns == CORNERS)))
    if len(broken):
        _refuse(path, table, int(broken[0, 0]), columns[int(broken[0, 1])])
    return Boxes(columns)


def _refuse_whole_pictures(path: Path, columns: tuple[str, ...]) -> NoReturn:
    """Boxes of 0 and 1 alone are whole pictures as fractions, a few pixels as pixels."""
    raise DataError(
        f"{path}: expected boxes in columns {', '.join(columns)}, found no number but 0 and 1: as "
        "fractions these are whole pictures, as pixels hardly any; where objects fill their "
        f"pictures, leave the columns out, else write boxes as {_FORM}"
    )


def _refuse(path: Path, table: pd.DataFrame, row: int, column: str) -> NoReturn:
    kind = "a whole number" if column in CORNERS else "a number"
    raise DataError(
        f"{path}: expected {kind} of pixels in column {column} of every row, found "
        f"'{table[column].iloc[row]}' in row {row + 1}; boxes are {_FORM}; fill it in, or leave "
        "the row out"
    )
