"""Labelled pictures of COCO: instances as polygons and run lengths, or panoptic segments.

One pair for each class that a picture shows, with the union of its instances as mask, crowds
included. Source: Lin et al., Microsoft COCO (ECCV 2014); the masks are those of pycocotools.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from audit.data.errors import DataError
from audit.data.labelled_pictures import LabelledPictures, Row
from audit.data.mask_files import moved_mask
from audit.data.pairs import Skipped
from audit.data.picture_files import inside, open_picture, open_stored
from audit.data.upright import OpenedPicture, PictureError

_NO_LABEL = "nothing is annotated in it"
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
    numbers = {category: i for i, category in enumerate(sorted(categories))}
    shown = sorted({row["category"] for row in rows})
    table = pd.DataFrame(rows)
    table["class"] = [numbers[category] for category in table["category"]]
    panoptic = "segments_info" in written["annotations"][0]
    segments = partial(_of_segments, _segments_folder(file, root))
    labelled = set(table["image"])
    return LabelledPictures(
        name=root.name or file.name,
        table=table,
        classes=tuple(categories[one] for one in sorted(categories)),
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
        written = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: not readable as JSON ({error})") from error
    wanted = ("images", "annotations", "categories")
    tables = written if isinstance(written, dict) else {}
    missing = [key for key in wanted if not isinstance(tables.get(key), list) or not tables[key]]
    if missing:
        raise DataError(
            f"{file}: expected COCO's lists {', '.join(wanted)}, found no {' or '.join(missing)}"
        )
    return tables


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
    rows: dict[tuple[Any, Any], dict[str, Any]] = {}
    for number, one in enumerate(written["annotations"]):
        parts = one.get("segments_info", [one])
        for part in parts:
            picture, category = one.get("image_id"), part.get("category_id")
            if picture not in pictures or category not in categories:
                raise DataError(
                    f"{file}: expected annotation {number} to name a picture and a category of "
                    f"this file, found image_id {picture} and category_id {category}"
                )
            row = rows.setdefault(
                (picture, category),
                {
                    "id": f"{picture}-{categories[category]}",
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


def _of_instances(row: Row, opened: OpenedPicture) -> Image.Image:
    """The union of all instances of a class, as pycocotools draws them."""
    coded = _pycocotools()
    height, width = row["size"]
    union = np.zeros((height, width), dtype=bool)
    for part in row["parts"]:
        shape = part.get("segmentation")
        try:
            if isinstance(shape, dict) and not isinstance(shape["counts"], list):
                runs = [shape]
            else:
                runs = coded.frPyObjects(shape, height, width)
            runs = runs if isinstance(runs, list) else [runs]
            union |= coded.decode(coded.merge(runs)).astype(bool)
        except Exception as error:  # it raises anything on what it does not expect
            raise PictureError(
                f"expected polygons or run lengths in annotation {part.get('id')}, found what "
                f"pycocotools cannot read ({error})"
            ) from error
    if not union.any():
        raise PictureError("expected a mask of an object, found one without a pixel")
    return moved_mask(union, opened)


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


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise DataError(
            "coco: expected pycocotools, which reads COCO's masks, found none; "
            'pip install "explainer-audit[coco]"'
        ) from error
    return mask
