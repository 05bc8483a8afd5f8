"""Pairs from a manifest: a CSV or Parquet file of pictures, labels, and masks or boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from audit.data.pairs import ModelInputs, Pairs

TEMPLATE = "a photo of a {}."
_BOX = ("x0", "y0", "x1", "y1")
_MAX_PIXELS = 64_000_000


class DataError(ValueError):
    """The data cannot be read; the message says what was expected, found, and what to do."""


def manifest_pairs(
    model: ModelInputs,
    manifest: Path,
    count: int | None,
    *,
    seed: int = 0,
    template: str = TEMPLATE,
) -> Pairs:
    """Read pairs from a manifest.

    Args:
        model: preprocesses pictures and prompts.
        manifest: a file, or a folder that holds ``manifest.csv`` or ``manifest.parquet``. Columns:
            ``image``; ``label`` or ``text``; optionally ``id``; ``mask`` (a picture file), or
            ``x0, y0, x1, y1`` in pixels of the picture, inclusive. Paths are relative to the
            manifest. A file ``classes.csv`` beside it with a column ``label`` names all classes.
        count: how many pairs to draw at random, None for all. What a picture shows is read from all
            of its rows, drawn or not, and a pair has the same id whatever is drawn.
        seed: of the draw.
        template: prompt of a label, with one ``{}``; texts are used as they are.

    Raises:
        DataError: missing file, column, picture, label or box, or a label that is not among the
            classes.
    """
    path = _find(manifest)
    table, column = _rows(path)
    names = _classes(path, table[column])
    table["class"] = table[column].map({name: i for i, name in enumerate(names)})
    drawn = table
    if count is not None and count < len(table):
        rows = np.sort(np.random.default_rng(seed).permutation(len(table))[:count])
        drawn = table.iloc[rows].reset_index(drop=True)
    template = template if column == "label" else "{}"
    files, picture = np.unique(drawn["image"].to_numpy(), return_inverse=True)
    return Pairs(
        name=path.parent.name or path.name,
        ids=tuple(drawn["id"]),
        images=torch.stack([model.preprocess(_open(path.parent / f)) for f in files]),
        picture=torch.from_numpy(picture),
        labels=torch.tensor(drawn["class"].to_numpy()),
        present=_present(table, files, len(names)),
        masks=_masks(model, path, drawn),
        classes=names,
        templates=(template,),
        targets=model.encode([template.format(name) for name in names]),
    )


def _rows(path: Path) -> tuple[pd.DataFrame, str]:
    """All rows of a manifest, each with an id and all it needs, and the column of its label."""
    table = _read(path)
    column = "label" if "label" in table else "text"
    missing = [c for c in ("image", column) if c not in table]
    if missing:
        raise DataError(
            f"{path}: expected the columns image and label (or text), found "
            f"{', '.join(map(str, table.columns))}"
        )
    _expect_values(path, table, ["image", column, *_mask_columns(table)])
    if "id" not in table:
        table["id"] = range(len(table))
    table = table.astype({"image": str, column: str, "id": str})
    if table["id"].duplicated().any():
        twice = table["id"][table["id"].duplicated()].iloc[0]
        raise DataError(f"{path}: expected unique ids, '{twice}' is twice")
    return table, column


def _mask_columns(table: pd.DataFrame) -> list[str]:
    """The columns that say where the object is; none where nothing does."""
    if "mask" in table:
        return ["mask"]
    return list(_BOX) if set(_BOX) <= set(table.columns) else []


def _present(table: pd.DataFrame, files: np.ndarray, classes: int) -> Tensor:
    """Which classes each picture shows, by all rows of the manifest."""
    own = table[table["image"].isin(files)]
    picture = torch.from_numpy(np.searchsorted(files, own["image"].to_numpy()))
    present = torch.zeros(len(files), classes, dtype=torch.bool)
    present[picture, torch.tensor(own["class"].to_numpy())] = True
    return present


def _expect_values(path: Path, table: pd.DataFrame, columns: list[str]) -> None:
    """Every row has a value in these columns, and a number where it is the side of a box."""
    for column in columns:
        found = pd.to_numeric(table[column], errors="coerce") if column in _BOX else table[column]
        if found.isna().any():
            row = int(found.isna().to_numpy().argmax())
            kind = "a whole number of pixels" if column in _BOX else "a value"
            raise DataError(
                f"{path}: expected {kind} in column {column} of every row, found "
                f"'{table[column].iloc[row]}' in row {row + 1}; fill it in, or leave the row out"
            )


def _masks(model: ModelInputs, path: Path, table: pd.DataFrame) -> Tensor | None:
    columns = _mask_columns(table)
    if not columns:
        return None
    if columns == ["mask"]:
        pictures = [_open(path.parent / str(name)).convert("L") for name in table["mask"]]
    else:
        pictures = [
            _box(path, path.parent / str(row["image"]), [int(row[c]) for c in _BOX])
            for _, row in table.iterrows()
        ]
    return torch.stack([model.preprocess_mask(p)[0] > 0.5 for p in pictures])


def _box(path: Path, picture: Path, box: list[int]) -> Image.Image:
    with Image.open(picture) as opened:
        width, height = opened.size
    mask = np.zeros((height, width), dtype=np.uint8)
    x0, y0, x1, y1 = box
    if not (0 <= x0 <= x1 and 0 <= y0 <= y1 and x0 < width and y0 < height):
        raise DataError(
            f"{path}: expected a box x0 ≤ x1, y0 ≤ y1 that begins inside the {width}×{height} "
            f"pixels of '{picture.name}', found {x0}, {y0}, {x1}, {y1}; correct it, or leave the "
            "row out"
        )
    mask[y0 : y1 + 1, x0 : x1 + 1] = 255
    return Image.fromarray(mask)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                raise DataError(
                    f"{path}: {opened.width}×{opened.height} pixels, expected at most "
                    f"{_MAX_PIXELS:,}; shrink the picture"
                )
            return opened.convert("RGB")
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a readable picture ({error})") from error


def _find(manifest: Path) -> Path:
    candidates = (
        [manifest]
        if manifest.is_file()
        else [manifest / name for name in ("manifest.csv", "manifest.parquet")]
    )
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(
        f"expected a manifest (CSV or Parquet), or a folder with manifest.csv, found none at "
        f"'{manifest}'"
    )


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError, ImportError) as error:
        raise DataError(f"{path}: not a readable table ({error})") from error
    if table.empty:
        raise DataError(f"{path}: expected at least one row, found none")
    return table


def _classes(path: Path, labels: pd.Series[str]) -> tuple[str, ...]:
    beside = path.parent / "classes.csv"
    if not beside.is_file():
        return tuple(sorted(set(labels)))
    classes = _read(beside)
    if "label" not in classes:
        raise DataError(
            f"{beside}: expected a column label with the names of all classes, found "
            f"{', '.join(map(str, classes.columns))}"
        )
    names = tuple(classes["label"].astype(str))
    unknown = sorted(set(labels) - set(names))
    if unknown:
        raise DataError(f"{path}: label '{unknown[0]}' is not in classes.csv beside it")
    return names
