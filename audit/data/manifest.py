"""Pairs from a manifest: a CSV or Parquet file of pictures, labels, and masks or boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from audit.data.errors import DataError
from audit.data.manifest_table import BOX, mask_columns, read_rows, read_table
from audit.data.pairs import ModelInputs, Pairs
from audit.data.picture_files import read_pictures

TEMPLATE = "a photo of a {}."
_NAMED = 3


def manifest_pairs(
    model: ModelInputs,
    manifest: Path,
    count: int | None,
    *,
    seed: int = 0,
    template: str = TEMPLATE,
    allow_outside: bool = False,
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
        template: prompt of a label, with one ``{}``; texts are used as they are, and so are labels
            that name the classes of a model with a class head.
        allow_outside: also read pictures that do not lie under the manifest's folder.

    Raises:
        DataError: missing file, column, picture, label or box, or a label that is not among the
            classes.
    """
    path = _find(manifest)
    table, column = read_rows(path)
    template = template if column == "label" and model.uses_templates else "{}"
    written = _classes(path, table[column])
    targets = model.encode([template.format(name) for name in written])
    kept, index, notes = _distinct(written, targets)
    table["class"] = table[column].map(dict(zip(written, index, strict=True)))
    drawn = table
    if count is not None and count < len(table):
        rows = np.sort(np.random.default_rng(seed).permutation(len(table))[:count])
        drawn = table.iloc[rows].reset_index(drop=True)
    files, picture = np.unique(drawn["image"].to_numpy(dtype=str), return_inverse=True)
    opened = read_pictures(
        path.parent,
        files.tolist(),
        lambda _, opened: (model.preprocess(opened), opened.size),
        allow_outside=allow_outside,
    )
    sizes = dict(zip(files.tolist(), (size for _, size in opened), strict=True))
    return Pairs(
        name=path.parent.name or path.name,
        ids=tuple(drawn["id"]),
        images=torch.stack([image for image, _ in opened]),
        picture=torch.from_numpy(picture),
        labels=torch.tensor(drawn["class"].to_numpy()),
        present=_present(table, files, len(kept)),
        masks=_masks(model, path, drawn, sizes, allow_outside=allow_outside),
        classes=tuple(written[i] for i in kept),
        templates=(template,),
        targets=targets[kept],
        notes=notes,
    )


def _distinct(names: Sequence[str], tokens: Tensor) -> tuple[list[int], list[int], tuple[str, ...]]:
    """Classes that are the same text to the model are one class, and this is told.

    Returns:
        The names to keep, by their number; the class of each name; and what is to be told.
    """
    first: dict[bytes, int] = {}
    rows = [row.tobytes() for row in tokens.numpy()]
    same = [first.setdefault(row, i) for i, row in enumerate(rows)]
    kept = list(first.values())
    number = {name: i for i, name in enumerate(kept)}
    twice = [(i, other) for i, other in enumerate(same) if i != other]
    if not twice:
        return kept, [number[i] for i in same], ()
    named = ", ".join(f"'{names[i]}' as '{names[other]}'" for i, other in twice[:_NAMED])
    rest = len(twice) - _NAMED
    more = f" and {rest:,} more" if rest > 0 else ""
    told = f"Classes that are the same text to the model are taken for one: {named}{more}."
    return kept, [number[i] for i in same], (told,)


def _present(table: pd.DataFrame, files: np.ndarray, classes: int) -> Tensor:
    """Which classes each picture shows, by all rows of the manifest."""
    own = table[table["image"].isin(files)]
    picture = torch.from_numpy(np.searchsorted(files, own["image"].to_numpy(dtype=str)))
    present = torch.zeros(len(files), classes, dtype=torch.bool)
    present[picture, torch.tensor(own["class"].to_numpy())] = True
    return present


def _masks(
    model: ModelInputs,
    path: Path,
    table: pd.DataFrame,
    sizes: dict[str, tuple[int, int]],
    *,
    allow_outside: bool,
) -> Tensor | None:
    columns = mask_columns(path, table)
    if not columns:
        return None
    if columns == ["mask"]:
        names, index = np.unique(table["mask"].to_numpy(dtype=str), return_inverse=True)
        masks = read_pictures(
            path.parent,
            names.tolist(),
            lambda _, opened: model.preprocess_mask(opened.convert("L"))[0] > 0.5,
            allow_outside=allow_outside,
        )
        return torch.stack([masks[i] for i in index])
    boxes = table[list(BOX)].astype(float).astype(int).to_numpy()
    pictures = [
        _box(path, name, sizes[name], box.tolist())
        for name, box in zip(table["image"], boxes, strict=True)
    ]
    return torch.stack([model.preprocess_mask(p)[0] > 0.5 for p in pictures])


def _box(path: Path, name: str, size: tuple[int, int], box: list[int]) -> Image.Image:
    width, height = size
    mask = np.zeros((height, width), dtype=np.uint8)
    x0, y0, x1, y1 = box
    if not (0 <= x0 <= x1 and 0 <= y0 <= y1 and x0 < width and y0 < height):
        raise DataError(
            f"{path}: expected a box x0 ≤ x1, y0 ≤ y1 that begins inside the {width}×{height} "
            f"pixels of '{Path(name).name}', found {x0}, {y0}, {x1}, {y1}; correct it, or leave "
            "the row out"
        )
    mask[y0 : y1 + 1, x0 : x1 + 1] = 255
    return Image.fromarray(mask)


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


def _classes(path: Path, labels: pd.Series[str]) -> tuple[str, ...]:
    beside = path.parent / "classes.csv"
    if not beside.is_file():
        return tuple(sorted(set(labels)))
    classes = read_table(beside)
    if "label" not in classes:
        raise DataError(
            f"{beside}: expected a column label with the names of all classes, found "
            f"{', '.join(map(str, classes.columns))}"
        )
    names = tuple(dict.fromkeys(classes["label"].astype(str)))
    unknown = sorted(set(labels) - set(names))
    if unknown:
        raise DataError(f"{path}: label '{unknown[0]}' is not in classes.csv beside it")
    return names
