"""Labelled pictures of ImageNet-S, which has masks of 50, 300 or 919 classes of ImageNet.

Source: Gao et al., Large-Scale Unsupervised Semantic Segmentation (TPAMI 2022). In a mask the class
is R + 256 G, counted from 1 in the order of the synsets; 0 is none of them, 1000 is left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from audit.data.class_folders import picture_files
from audit.data.errors import DataError
from audit.data.imagenet_classes import names_of_synsets
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.mask_files import moved_mask
from audit.data.pairs import Skipped
from audit.data.picture_files import inside, open_stored, opener
from audit.data.upright import OpenedPicture, PictureError

_SIZES = (50, 300, 919)
_OPEN = 1000  # pixels that are left open
_PICTURES, _MASKS = "validation", "validation-segmentation"


def load_imagenet_s(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The validation pictures of a folder ``ImageNetS50``, ``ImageNetS300`` or ``ImageNetS919``.

    Args:
        name: a folder with ``validation`` and ``validation-segmentation``, one folder a synset in
            each.
        allow_outside: also read what lies elsewhere.

    Raises:
        DataError: no such folders, or another number of classes.
    """
    root = Path(name)
    pictures, masks = root / _PICTURES, root / _MASKS
    if not (pictures.is_dir() and masks.is_dir()):
        raise DataError(f"imagenet-s:{root}: expected the folders {_PICTURES} and {_MASKS} in it")
    synsets = sorted(one.name for one in masks.iterdir() if one.is_dir())
    if len(synsets) not in _SIZES:
        raise DataError(
            f"imagenet-s:{root}: expected {', '.join(map(str, _SIZES))} classes in {_MASKS}, found "
            f"{len(synsets)}; the numbers in the masks mean classes only where all are there"
        )
    rows, skipped = _rows(pictures, synsets)
    table = pd.DataFrame(rows, columns=["id", "image", "class"])
    table["id"] = table["id"].where(~table["id"].duplicated(keep=False), table["image"])
    if table.empty:
        raise DataError(f"imagenet-s:{root}: expected pictures in {_PICTURES}, found none")
    names = names_of_synsets(synsets)
    return LabelledPictures(
        name=root.resolve().name,
        table=table,
        classes=names,
        open=opener(pictures, allow_outside=allow_outside),
        mask=partial(_mask, masks),
        known_as=tuple(synsets),
        shows=partial(_shows, masks, len(synsets)),
        skipped=tuple(skipped),
    )


def _rows(
    pictures: Path, synsets: Sequence[str]
) -> tuple[list[tuple[str, str, int]], list[Skipped]]:
    """Id, name and class of each picture, and what is none, or has no masks."""
    rows, skipped = list[tuple[str, str, int]](), list[Skipped]()
    for number, synset in enumerate(synsets):
        found, others = picture_files(pictures, sorted((pictures / synset).glob("*")))
        rows += [(file.stem, file.relative_to(pictures).as_posix(), number) for file in found]
        skipped += others
    for place in sorted(pictures.iterdir()):
        if place.name not in synsets:
            skipped.append(Skipped(place.name, f"there is no folder of its name in {_MASKS}"))
    return rows, skipped


def _numbers(masks: Path, name: str) -> np.ndarray:
    file = inside(masks, str(Path(name).with_suffix(".png")))
    colors = np.asarray(open_stored(file).convert("RGB")).astype(np.int64)
    return np.asarray(colors[..., 0] + 256 * colors[..., 1])


def _mask(masks: Path, row: Row, opened: OpenedPicture) -> Image.Image:
    mask = _numbers(masks, str(row["image"])) == row["class"] + 1
    if not mask.any():
        raise PictureError("expected a mask of its class, found no pixel of it")
    return moved_mask(mask, opened)


def _shows(masks: Path, classes: int, name: str) -> tuple[int, ...]:
    """All classes of a picture's mask.

    Raises:
        PictureError: it names a class that there is not.
    """
    found = [int(one) for one in np.unique(_numbers(masks, name)) if one not in {0, _OPEN}]
    if found and found[-1] > classes:
        raise PictureError(
            f"expected classes from 1 to {classes} in its mask, as R + 256 G, found {found[-1]}"
        )
    return tuple(one - 1 for one in found)
