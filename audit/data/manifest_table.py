"""The table of a manifest: every cell as it is written, and what is wrong with a row named."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import numpy as np
import pandas as pd

from audit.data.errors import DataError

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BLOCK = 1 << 20
_OTHER_MARKS = ";\t|"
_MOST = 2**32 - 1  # of the numbers of pixels
INDEX, VALUE = "class_index", "mask_value"
CORNERS, SIZES = ("x0", "y0", "x1", "y1"), (("x", "y", "w", "h"), ("x", "y", "width", "height"))
NAMES = frozenset({"image", "label", "text", "id", INDEX, "mask", VALUE, *CORNERS, *SIZES[0]})
"""Columns that are read."""


def read_rows(path: Path) -> tuple[pd.DataFrame, str]:
    """All rows of a manifest, each with an id and all it needs, and the column of its label.

    Raises:
        DataError: not a readable table, or a column or value is missing.
    """
    table = read_table(path)
    _expect_plain_names(path, table)
    column = "label" if "label" in table else "text"
    missing = [c for c in ("image", column) if c not in table]
    if missing:
        names = ", ".join(map(str, table.columns))
        other = len(table.columns) == 1 and any(mark in names for mark in _OTHER_MARKS)
        mend = "; write a comma between cells" if other else ""
        raise DataError(
            f"{path}: expected the columns image and label (or text), found {names}{mend}"
        )
    asked = [name for name in ("id", "mask", "class_index") if name in table]
    expect_values(path, table, ["image", column, *asked])
    _expect_text(path, table, ["image", column, *asked])
    if VALUE in table:
        table[VALUE] = _whole(path, table[VALUE])
    if "id" not in table:
        table["id"] = range(len(table))
    table = table.astype({"image": str, column: str, "id": str})
    if table["id"].duplicated().any():
        twice = table["id"][table["id"].duplicated()].iloc[0]
        raise DataError(f"{path}: expected unique ids, '{twice}' is twice")
    plain = {name: os.path.normpath(name) for name in table["image"].unique()}
    table["image"] = table["image"].map(plain)  # a.png and ./a.png are one picture
    return table, column


def read_table(path: Path) -> pd.DataFrame:
    """The rows of a CSV or Parquet file; the cells of a CSV file are text, as it is written.

    Raises:
        DataError: not such a file, damaged, or without rows.
    """
    if path.suffix in {".json", ".jsonl", ".ndjson"}:
        raise DataError(
            f"{path}: expected a CSV or Parquet file, found a name of JSON; write the rows as CSV "
            "with a line of column names"
        )
    try:
        table = _read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    except DataError:
        raise
    except (ValueError, OSError, ImportError, OverflowError) as error:
        raise DataError(f"{path}: not a readable table ({error})") from error
    if table.empty:
        raise DataError(f"{path}: expected at least one row, found none")
    return table


def _read_parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path)
    return table if all(name is None for name in table.index.names) else table.reset_index()


def _read_text(path: Path) -> pd.DataFrame:
    table = pd.read_csv(
        path, dtype=str, keep_default_na=False, na_filter=False, encoding=_encoding(path)
    )
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first cells for names of rows
        raise DataError(
            f"{path}: expected as many cells in a row as there are names of columns, "
            f"{len(table.columns)}, found more in every row; name the other columns, or remove "
            "what is too much, such as a comma at the end of a row"
        )
    return table


def _encoding(path: Path) -> str:
    """How the text of a file is written down, which must hold no NUL characters.

    Raises:
        DataError: it holds some.
    """
    with path.open("rb") as file:
        if file.read(2) in _WIDE:
            return "utf-16"
        file.seek(0)
        while block := file.read(_BLOCK):
            if b"\0" in block:
                raise DataError(f"{path}: expected text, found NUL characters; save it as UTF-8")
    return "utf-8-sig"


def expect_values(path: Path, table: pd.DataFrame, columns: list[str]) -> None:
    """Every row has a value in these columns.

    Raises:
        DataError: one has none, or nothing but spaces.
    """
    for column in columns:
        cells = table[column]
        wrong = (cells.isna() | (cells.astype(str).str.strip() == "")).to_numpy()
        if wrong.any():
            _refuse(path, cells, wrong, "a value")


def _expect_plain_names(path: Path, table: pd.DataFrame) -> None:
    """No column is called as one that is read but for capitals and spaces: it would not be read."""
    for name in map(str, table.columns):
        plain = name.strip().lower()
        if name != plain and plain in NAMES and plain not in table:
            raise DataError(f"{path}: expected a column '{plain}', found '{name}'; rename it")


def _expect_text(path: Path, table: pd.DataFrame, columns: list[str]) -> None:
    """The cells of these columns are text or numbers, not what Parquet can hold beside them."""
    for column in (one for one in columns if table[one].dtype == object):
        plain = table[column].map(lambda cell: isinstance(cell, (str, int, float, np.number)))
        if not plain.all():
            row = int((~plain).to_numpy().argmax())
            kind = type(table[column].iloc[row]).__name__
            raise DataError(
                f"{path}: expected text in column {column} of every row, found {kind} in row "
                f"{row + 1}; save names of files and single labels, or read a data set that the "
                "library datasets saved by hf:FOLDER"
            )


def _whole(path: Path, cells: pd.Series[str]) -> np.ndarray:
    """The whole numbers of a column."""
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(dtype=float)
    wrong = ~(np.abs(numbers) <= _MOST) | (numbers != np.rint(numbers))
    if wrong.any():
        _refuse(path, cells, wrong, "a whole number")
    return numbers.astype(np.int64)


def _refuse(path: Path, cells: pd.Series[str], wrong: np.ndarray, kind: str) -> None:
    row = int(wrong.argmax())
    raise DataError(
        f"{path}: expected {kind} in column {cells.name} of every row, found "
        f"'{cells.iloc[row]}' in row {row + 1}; fill it in, or leave the row out"
    )
