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

from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.mask_files import moved_mask
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
    files = sorted((root / "images").glob("[!.]*_*.jpg"))
    if not (files and (root / _TRIMAPS).is_dir()):
        raise DataError(
            f"pets:{root}: expected pictures such as images/Abyssinian_1.jpg and the folder "
            f"{_TRIMAPS.as_posix()}, found {len(files)} pictures"
        )
    table = pd.DataFrame({"id": [file.stem for file in files]})
    table["image"] = [file.name for file in files]
    breeds = table["id"].str.rpartition("_")[0].str.replace("_", " ")
    classes = sorted(set(breeds))
    table["class"] = breeds.map({one: i for i, one in enumerate(classes)})
    return LabelledPictures(
        name=root.resolve().name,
        table=table,
        classes=tuple(classes),
        open=opener(root / "images", allow_outside=allow_outside),
        mask=partial(_mask, root / _TRIMAPS),
    )


def _mask(folder: Path, row: Row, opened: OpenedPicture) -> Image.Image:
    mask = np.isin(np.asarray(open_stored(inside(folder, f"{row['id']}.png"))), (_PET, _OUTLINE))
    if not mask.any():
        raise PictureError("expected a pet in its trimap, found no pixel of one")
    return moved_mask(mask, opened)
