"""Labelled pictures of the Oxford-IIIT pets, with their trimaps.

Source: Parkhi et al., Cats and Dogs (CVPR 2012). A trimap is 1 on the pet, 2 around it, and 3 on
its outline, which is taken for the pet's.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from audit.data.class_folders import picture_files
from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.mask_files import class_numbers, moved_mask
from audit.data.pairs import Skipped, left_out
from audit.data.picture_files import inside, open_stored, opener
from audit.data.upright import OpenedPicture, PictureError

_PET, _OUTLINE = 1, 3
_TRIMAPS = Path("annotations", "trimaps")


def load_oxford_pets(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The pictures of a folder of the pets; the breed is in the name of each file.

    Args:
        name: a folder with ``images`` and ``annotations/trimaps``.
        allow_outside: also read what lies elsewhere.

    Raises:
        DataError: no such folders, or no pictures in them.
    """
    root = Path(name)
    found, skipped = picture_files(root / "images", sorted((root / "images").glob("*")))
    files = [file for file in found if file.stem.rpartition("_")[0]]
    skipped += [Skipped(one.name, "its name has no breed") for one in found if one not in files]
    if not (files and (root / _TRIMAPS).is_dir()):
        raise DataError(
            f"pets:{root}: expected pictures such as images/Abyssinian_1.jpg and the folder "
            f"{_TRIMAPS.as_posix()}, found {len(files)} pictures{left_out(skipped)}"
        )
    table = pd.DataFrame({"id": [file.stem for file in files]})
    table["image"] = [file.name for file in files]
    table["mask"] = table["id"] + ".png"
    breeds = table["id"].str.rpartition("_")[0].str.replace("_", " ").str.strip()
    table["id"] = table["id"].where(~table["id"].duplicated(keep=False), table["image"])
    classes = sorted(set(breeds))
    table["class"] = breeds.map({one: i for i, one in enumerate(classes)})
    return LabelledPictures(
        name=root.resolve().name,
        table=table,
        classes=tuple(classes),
        open=opener(root / "images", allow_outside=allow_outside),
        mask=partial(_mask, root / _TRIMAPS),
        skipped=tuple(skipped),
    )


def _mask(folder: Path, row: Row, opened: OpenedPicture) -> Image.Image:
    numbers = class_numbers(open_stored(inside(folder, str(row["mask"]))))
    mask = np.isin(numbers, (_PET, _OUTLINE))
    if not mask.any():
        raise PictureError("expected a pet in its trimap, found no pixel of one")
    return moved_mask(mask, opened)
