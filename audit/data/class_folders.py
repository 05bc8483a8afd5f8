"""Labelled pictures in folders, one a class."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from audit.data.errors import DataError
from audit.data.imagenet_classes import names_of_synsets
from audit.data.labelled_pictures import LabelledPictures
from audit.data.pairs import Skipped, left_out
from audit.data.picture_files import SUFFIXES, opener

_NO_CLASS = "it lies in no folder of a class"
_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})


def load_class_folders(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The pictures of a folder that has one folder for each class, deeper folders included.

    Folders that are named by synsets of ImageNet, such as ``n01440764``, are called by their names.

    Raises:
        DataError: no such folder, or no pictures in it.
    """
    root = Path(name)
    every = sorted(root.iterdir()) if root.is_dir() else []
    folders = [one for one in every if one.is_dir() and not one.name.startswith(".")]
    skipped = [Skipped(one.name, _NO_CLASS) for one in every if one not in folders]
    rows: list[tuple[str, str, str]] = []

    def place(file: Path) -> str:
        return file.relative_to(root).as_posix()

    for folder in folders:
        found, others = picture_files(root, sorted(folder.rglob("*")))
        skipped += others
        if not found:
            skipped.append(Skipped(folder.name, "a folder without pictures, and no class"))
        rows += [(place(file.with_suffix("")), place(file), folder.name) for file in found]
    if not rows:
        raise DataError(
            f"folder:{root}: expected one folder of pictures for each class, found "
            f"{len(folders)} folders and no picture in them{left_out(skipped)}"
        )
    splits = sorted({row[2] for row in rows})
    if len(splits) > 1 and _SPLITS.issuperset(splits):
        raise DataError(
            f"folder:{root}: expected one folder of pictures for each class, found the splits "
            f"{', '.join(splits)}; give one of them, such as folder:{root / splits[-1]}"
        )
    table = pd.DataFrame(rows, columns=["id", "image", "folder"])
    table["id"] = table["id"].where(~table["id"].duplicated(keep=False), table["image"])
    classes = sorted(set(table["folder"]))
    table["class"] = table["folder"].map({one: i for i, one in enumerate(classes)})
    names = names_of_synsets(classes)
    return LabelledPictures(
        name=root.resolve().name,
        table=table,
        classes=names,
        open=opener(root, allow_outside=allow_outside),
        known_as=() if names == tuple(classes) else tuple(classes),
        skipped=tuple(skipped),
    )


def picture_files(root: Path, files: Iterable[Path]) -> tuple[list[Path], list[Skipped]]:
    """Which files are pictures by their names, and what the other ones are.

    Args:
        root: that the names of what is left out are relative to.
        files: and folders under it; folders without a picture's ending are passed over.
    """
    found, others = list[Path](), list[Skipped]()
    for file in files:
        place = file.relative_to(root).as_posix()
        if any(part.startswith(".") for part in file.relative_to(root).parts):
            others += [] if file.is_dir() else [Skipped(place, "a hidden file")]
        elif file.suffix.lower() in SUFFIXES:
            found.append(file)
        elif not file.is_dir():
            others.append(Skipped(place, f"'{file.suffix}' is no picture's ending"))
    return found, others
