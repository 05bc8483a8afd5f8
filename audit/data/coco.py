"""Labelled pictures of COCO: instances as polygons and run lengths, or panoptic segments.

One pair for each class that a picture shows, with the union of its instances as mask, crowds
included. Source: Lin et al., Microsoft COCO (ECCV 2014); the masks are those of pycocotools.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from audit.data.coco_masks import instance_mask
from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.mask_files import moved_mask
from audit.data.pairs import Skipped
from audit.data.picture_files import inside, open_picture, open_stored
from audit.data.upright import OpenedPicture, PictureError

_NO_LABEL = "nothing is annotated in it"
_ID: tuple[type, ...] = (int, float, str)
_SIDE: tuple[type, ...] = (int, type(None))
_PARTS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "images": {"id": _ID, "file_name": (str,), "height": _SIDE, "width": _SIDE},
    "categories": {"id": _ID, "name": _ID},
    "annotations": {"image_id": _ID},
}
Masks = Callable[[Row, OpenedPicture], Image.Image]


def load_coco(name: str, *, allow_outside: bool) -> LabelledPictures:
    """The annotated pictures of a folder of COCO.

    Args:
        name: a file ``instances*.json`` or ``panoptic*.json``, or a folder with one of them, or
            with one in ``annotations``. Pictures lie under the folder; segments of a panoptic file
            in a folder of its name.
        allow_outside: also read what lies elsewhere.

    Raises:
        DataError: there is no such file, or several, or it is not COCO's.
    """
    file = _annotation_file(Path(name))
    written = _read(file)
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    categories = {one["id"]: str(one["name"]) for one in written["categories"]}
    pictures = {one["id"]: str(one["file_name"]) for one in written["images"]}
    rows = _rows(file, written, categories, pictures)
    order = sorted(categories, key=lambda one: (isinstance(one, str), one))
    numbers = {category: i for i, category in enumerate(order)}
    shown = {row["category"] for row in rows}
    table = pd.DataFrame(rows)
    table["class"] = [numbers[category] for category in table["category"]]
    panoptic = "segments_info" in written["annotations"][0]
    segments = partial(_of_segments, _segments_folder(file, root))
    labelled = set(table["image"])
    return LabelledPictures(
        name=root.name or file.name,
        table=table,
        classes=tuple(categories[one] for one in order),
        open=partial(_open, _picture_folders(root), allow_outside=allow_outside),
        mask=segments if panoptic else _of_instances,
        notes=(f"{len(shown)} of {len(categories)} classes are annotated in some picture.",),
        skipped=tuple(Skipped(one, _NO_LABEL) for one in pictures.values() if one not in labelled),
    )


def _annotation_file(place: Path) -> Path:
    if place.is_file():
        return place
    forms = ("instances*.json", "panoptic*.json")
    folders = (place, place / "annotations")
    found = [file for form in forms for folder in folders for file in sorted(folder.glob(form))]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(str(file) for file in found) or "none"
    raise DataError(
        f"coco:{place}: expected a file instances*.json or panoptic*.json there or in "
        f"annotations, found {listed}; give coco:FILE.json"
    )


def _read(file: Path) -> dict[str, Any]:
    """The tables of an annotation file.

    Raises:
        DataError: it is no JSON, or lacks a table of COCO's.
    """
    try:
        written = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: not readable as JSON ({error})") from error
    wanted = ("images", "annotations", "categories")
    tables = written if isinstance(written, dict) else {}
    missing = [key for key in wanted if not isinstance(tables.get(key), list) or not tables[key]]
    if missing:
        raise DataError(
            f"{file}: expected COCO's lists {', '.join(wanted)}, found no {' or '.join(missing)}"
        )
    for key, parts in _PARTS.items():
        _expect_entries(file, key, parts, tables[key])
    return tables


def _expect_entries(
    file: Path, key: str, parts: Mapping[str, tuple[type, ...]], entries: list[Any]
) -> None:
    """The entries of a table have the parts of COCO's, and no id twice.

    Raises:
        DataError: one has not, or has the id of another.
    """
    for number, one in enumerate(entries):
        found = one if isinstance(one, dict) else {}
        wrong = [name for name, kinds in parts.items() if not isinstance(found.get(name), kinds)]
        if wrong:
            raise DataError(
                f"{file}: expected {' and '.join(parts)} in entry {number} of {key}, found no "
                f"{' or '.join(wrong)} that can be read"
            )
    times = Counter(one["id"] for one in entries if "id" in parts)
    twice = [one for one, count in times.items() if count > 1]
    if twice:
        raise DataError(f"{file}: expected unique ids in {key}, {twice[0]} is twice")


def _rows(
    file: Path,
    written: dict[str, Any],
    categories: dict[Any, str],
    pictures: dict[Any, str],
) -> list[dict[str, Any]]:
    """One row for each picture and class, with its annotations.

    Raises:
        DataError: an annotation of a picture or category that is not listed, or without its parts.
    """
    size = {one["id"]: (one.get("height"), one.get("width")) for one in written["images"]}
    times = Counter(categories.values())
    rows: dict[tuple[Any, Any], dict[str, Any]] = {}
    for number, one in enumerate(written["annotations"]):
        for part in _parts(file, number, one):
            picture, category = one["image_id"], part.get("category_id")
            known = isinstance(category, _ID) and category in categories
            if picture not in pictures or not known:
                raise DataError(
                    f"{file}: expected annotation {number} to name a picture and a category of "
                    f"this file, found image_id {picture} and category_id {category}"
                )
            name = categories[category]
            row = rows.setdefault(
                (picture, category),
                {
                    "id": f"{picture}-{name if times[name] == 1 else f'{name} ({category})'}",
                    "image": pictures[picture],
                    "category": category,
                    "size": size[picture],
                    "segments": one.get("file_name"),
                    "parts": [],
                },
            )
            row["parts"].append(part)
    if not rows:
        raise DataError(f"{file}: expected annotations, found none")
    return [rows[key] for key in sorted(rows, key=str)]


def _parts(file: Path, number: int, annotation: dict[str, Any]) -> list[dict[str, Any]]:
    """What an annotation annotates: itself, or its segments."""
    if "segments_info" not in annotation:
        return [annotation]
    found = annotation["segments_info"]
    listed: list[Any] = found if isinstance(found, list) else [None]
    if not all(isinstance(one, dict) and isinstance(one.get("id"), int) for one in listed):
        raise DataError(
            f"{file}: expected segments with an id in segments_info of annotation {number}, found "
            "others"
        )
    return listed


def _of_instances(row: Row, opened: OpenedPicture) -> Image.Image:
    """The union of all instances of a class."""
    height, width = row["size"]
    if height is None or width is None:  # then they are those of the picture
        width, height = opened.stored
    shapes = [part.get("segmentation") for part in row["parts"]]
    return moved_mask(instance_mask(shapes, (height, width)), opened)


def _of_segments(folder: Path | None, row: Row, opened: OpenedPicture) -> Image.Image:
    """The union of all segments of a class, of the ids that a PNG file holds as R + 256 G + 256² B.

    Raises:
        PictureError: the file is missing, or has no pixel of them.
    """
    if folder is None:
        raise PictureError("expected its segments in a folder named as the panoptic file")
    colors = np.asarray(open_stored(inside(folder, str(row["segments"]))).convert("RGB"))
    ids = colors.astype(np.int64) @ np.array([1, 256, 256**2])
    mask = np.isin(ids, [part["id"] for part in row["parts"]])
    if not mask.any():
        raise PictureError(
            f"expected a mask of an object, found no pixel of it in {row['segments']}"
        )
    return moved_mask(mask, opened)


def _segments_folder(file: Path, root: Path) -> Path | None:
    places = (file.parent / file.stem, root / file.stem, root / "panoptic")
    return next((place for place in places if place.is_dir()), None)


def _picture_folders(root: Path) -> tuple[Path, ...]:
    """Where pictures may lie: in the folder, or in one of its folders."""
    return (root, *(one for one in sorted(root.iterdir()) if one.is_dir()))


def _open(folders: tuple[Path, ...], name: str, *, allow_outside: bool) -> OpenedPicture:
    for folder in folders:
        path = inside(folder, name, allow_outside=allow_outside)
        if path.is_file():
            return open_picture(path)
    raise PictureError(f"no such file in {folders[0]} or a folder of it")
