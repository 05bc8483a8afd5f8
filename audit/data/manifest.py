"""Pairs from a manifest: a CSV or Parquet file of pictures, labels, and masks or boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from audit.data.pairs import Pairs
from audit.models.loading import ModelUnderAudit

TEMPLATE = "a photo of a {}."
_BOX = ("x0", "y0", "x1", "y1")
_MAX_PIXELS = 64_000_000


class DataError(ValueError):
    """The data cannot be read; the message says what was expected, found, and what to do."""


def manifest_pairs(
    model: ModelUnderAudit,
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
        count: how many pairs to draw at random, None for all.
        seed: of the draw.
        template: prompt of a label, with one ``{}``; texts are used as they are.

    Raises:
        DataError: missing file, column, picture, or a label that is not among the classes.
    """
    path = _find(manifest)
    table = _read(path)
    column = "label" if "label" in table else "text"
    missing = [c for c in ("image", column) if c not in table]
    if missing:
        raise DataError(
            f"{path}: expected the columns image and label (or text), found "
            f"{', '.join(map(str, table.columns))}"
        )
    names = _classes(path, table[column].astype(str))
    if count is not None and count < len(table):
        rows = np.sort(np.random.default_rng(seed).permutation(len(table))[:count])
        table = table.iloc[rows]
    return _pairs(model, path, table.reset_index(drop=True), column, names, template)


def _pairs(
    model: ModelUnderAudit,
    path: Path,
    table: pd.DataFrame,
    column: str,
    names: tuple[str, ...],
    template: str,
) -> Pairs:
    template = template if column == "label" else "{}"
    label_of = {name: i for i, name in enumerate(names)}
    unknown = sorted(set(table[column].astype(str)) - label_of.keys())
    if unknown:
        raise DataError(f"{path}: label '{unknown[0]}' is not in classes.csv beside it")
    labels = torch.tensor([label_of[str(name)] for name in table[column]])
    files, picture = np.unique(table["image"].astype(str).to_numpy(), return_inverse=True)
    images = torch.stack([model.preprocess(_open(path.parent / f)) for f in files])
    present = torch.zeros(len(files), len(names), dtype=torch.bool)
    present[torch.from_numpy(picture), labels] = True
    ids = table["id"].astype(str) if "id" in table else pd.Series(range(len(table))).astype(str)
    if ids.duplicated().any():
        raise DataError(f"{path}: expected unique ids, '{ids[ids.duplicated()].iloc[0]}' is twice")
    return Pairs(
        name=path.parent.name or path.name,
        ids=tuple(ids),
        images=images,
        picture=torch.from_numpy(picture),
        labels=labels,
        present=present,
        masks=_masks(model, path, table),
        classes=names,
        templates=(template,),
        tokens=model.tokenize([template.format(name) for name in names]),
    )


def _masks(model: ModelUnderAudit, path: Path, table: pd.DataFrame) -> Tensor | None:
    if "mask" in table:
        pictures = [_open(path.parent / str(name)).convert("L") for name in table["mask"]]
    elif set(_BOX) <= set(table.columns):
        pictures = [
            _box(path.parent / str(row["image"]), [int(row[c]) for c in _BOX])
            for _, row in table.iterrows()
        ]
    else:
        return None
    return torch.stack([model.preprocess_mask(p)[0] > 0.5 for p in pictures])


def _box(picture: Path, box: list[int]) -> Image.Image:
    with Image.open(picture) as opened:
        width, height = opened.size
    mask = np.zeros((height, width), dtype=np.uint8)
    x0, y0, x1, y1 = box
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
    if beside.is_file():
        return tuple(pd.read_csv(beside)["label"].astype(str))
    return tuple(sorted(set(labels)))
