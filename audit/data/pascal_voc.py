"""Labelled pictures of PASCAL VOC with class masks.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge (IJCV 2010). In a mask of the
folder ``SegmentationClass`` a color of the palette is a class, 255 is left open.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.mask_files import VOID, class_numbers, moved_mask
from audit.data.pairs import Skipped, left_out
from audit.data.picture_files import in_parallel, inside, open_stored, opener
from audit.data.upright import OpenedPicture, PictureError

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
WORDS = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}
_MASKS, _PICTURES = "SegmentationClass", "JPEGImages"


def load_pascal_voc(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The pictures with class masks of a year of VOC.

    Args:
        name: a folder such as ``VOC2012``, with ``JPEGImages`` and ``SegmentationClass``, or one
            that holds it, as in ``VOCdevkit``.
        allow_outside: also read what lies elsewhere.

    Raises:
        DataError: no such folders, or no masks in them.
    """
    root = _root(Path(name))
    files = sorted((root / _MASKS).glob("*.png"))
    rows, skipped = [], []
    for file, found in zip(files, in_parallel(files, _classes_in), strict=True):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        picture = f"{file.stem}.jpg"
        rows += [(f"{file.stem}-{CLASSES[i]}", picture, i, file.name) for i in found]
    if not rows:
        raise DataError(
            f"voc:{root}: expected masks of classes in {_MASKS}, found none{left_out(skipped)}"
        )
    return LabelledPictures(
        name=root.resolve().name,
        table=pd.DataFrame(rows, columns=["id", "image", "class", "mask"]),
        classes=tuple(WORDS.get(one, one) for one in CLASSES),
        open=opener(root / _PICTURES, allow_outside=allow_outside),
        mask=partial(_mask, root / _MASKS),
        skipped=tuple(skipped),
    )


def _root(place: Path) -> Path:
    years = (place, *sorted(place.glob("VOC*")), *sorted(place.glob("VOCdevkit/VOC*")))
    found = [one for one in years if (one / _MASKS).is_dir() and (one / _PICTURES).is_dir()]
    if len(found) == 1 or place in found:
        return found[0]
    listed = ", ".join(map(str, found)) or "none"
    raise DataError(
        f"voc:{place}: expected a folder with {_PICTURES} and {_MASKS}, found {listed}; give the "
        "folder of one year"
    )


def _classes_in(file: Path) -> list[int] | Skipped:
    """The classes that a mask holds, or why it cannot be used."""
    try:
        numbers = _numbers(file)
    except PictureError as error:
        return Skipped(file.name, str(error))
    found = [int(one) - 1 for one in np.unique(numbers) if one not in {0, VOID}]
    if not found or max(found) >= len(CLASSES):
        return Skipped(file.name, f"expected classes from 1 to {len(CLASSES)} in its mask")
    return found


def _numbers(file: Path) -> np.ndarray:
    return class_numbers(open_stored(file))


def _mask(folder: Path, row: Row, opened: OpenedPicture) -> Image.Image:
    return moved_mask(_numbers(inside(folder, str(row["mask"]))) == row["class"] + 1, opened)
