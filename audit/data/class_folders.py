"""Labelled pictures in folders, one a class."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from audit.data.errors import DataError
from audit.data.imagenet_classes import names_of_synsets
from audit.data.labelled_pictures import LabelledPictures
from audit.data.pairs import Skipped
from audit.data.picture_files import SUFFIXES, opener


def load_class_folders(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The pictures of a folder that has one folder for each class, deeper folders included.

    Folders that are named by synsets of ImageNet, such as ``n01440764``, are called by their names.

    Raises:
        DataError: no such folder, or no pictures in it.
    """
    root = Path(name)
    folders = [one for one in sorted(root.iterdir()) if one.is_dir()] if root.is_dir() else []
    rows, skipped = [], []
    for file in (file for folder in folders for file in sorted(folder.rglob("*"))):
        place = file.relative_to(root)
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            rows.append((place.with_suffix("").as_posix(), place.as_posix(), place.parts[0]))
        elif not file.is_dir():
            skipped.append(Skipped(place.as_posix(), f"'{file.suffix}' is no picture's ending"))
    if not rows:
        raise DataError(
            f"folder:{root}: expected one folder of pictures for each class, found "
            f"{len(folders)} folders and no picture in them"
        )
    table = pd.DataFrame(rows, columns=["id", "image", "folder"])
    table["id"] = table["id"].where(~table["id"].duplicated(keep=False), table["image"])
    classes = sorted(set(table["folder"]))
    table["class"] = table["folder"].map({one: i for i, one in enumerate(classes)})
    names = names_of_synsets(classes)
    return LabelledPictures(
        name=root.resolve().name,
        table=table,
        classes=tuple(classes) if names is None else names,
        open=opener(root, allow_outside=allow_outside),
        known_as=() if names is None else tuple(classes),
        skipped=tuple(skipped),
    )
