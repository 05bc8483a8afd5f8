"""The sources of data: which name means which, and who reads it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.data import data_plugins
from audit.data.errors import DataError, NoGridError
from audit.nearest_name import hint

if TYPE_CHECKING:
    from audit.data.labelled_pictures import LabelledPictures
    from audit.data.pairs import ModelInputs, Pairs

    Loader = Callable[..., LabelledPictures]

GRID = 2
"""Cells on either side where nothing is said and there are labels but no masks."""
BUNDLED = "bundled"
MANIFESTS = ("manifest.csv", "manifest.parquet")


@dataclass(frozen=True)
class DataSource:
    """A source of labelled pictures, imported when it is asked.

    Attributes:
        key: what it is called.
        form: of its names.
        what: they are.
        loader: ``module:function`` within this package; it is called with what follows the prefix,
            and with ``allow_outside``, whether files may lie outside of the data's folder.
        extra: of this distribution, which it needs; empty where it needs none.
        prefix: of its names.
    """

    key: str
    form: str
    what: str
    loader: str
    extra: str = ""
    prefix: str = ""

    def load(self, name: str, *, allow_outside: bool = False) -> LabelledPictures:
        """The pictures that a name means."""
        loader: Loader = _named(self.loader)
        return loader(name.removeprefix(self.prefix), allow_outside=allow_outside)


SOURCES: Mapping[str, DataSource] = {
    source.key: source
    for source in (
        DataSource(
            "manifest",
            "FILE.csv, FILE.parquet, FOLDER",
            "a manifest, or a folder with manifest.csv: image; label or text; id; class_index; "
            "mask (and mask_value), or x0,y0,x1,y1, or x,y,w,h; Parquet needs the extra parquet",
            "manifest:load_manifest",
        ),
        DataSource(
            "folder",
            "folder:FOLDER",
            "one folder of pictures a class",
            "class_folders:load_class_folders",
            prefix="folder:",
        ),
        DataSource(
            "coco",
            "coco:FOLDER, coco:FILE.json",
            "COCO's instances (polygons, RLE) or panoptic segments",
            "coco:load_coco",
            extra="coco",
            prefix="coco:",
        ),
        DataSource(
            "imagenet-s",
            "imagenet-s:FOLDER",
            "ImageNet-S of 50, 300 or 919 classes, with masks",
            "imagenet_s:load_imagenet_s",
            prefix="imagenet-s:",
        ),
        DataSource(
            "voc",
            "voc:FOLDER",
            "a year of PASCAL VOC with class masks",
            "pascal_voc:load_pascal_voc",
            prefix="voc:",
        ),
        DataSource(
            "pets",
            "pets:FOLDER",
            "the Oxford-IIIT pets with their trimaps",
            "oxford_pets:load_oxford_pets",
            prefix="pets:",
        ),
        DataSource(
            "hf",
            "hf:FOLDER",
            "a data set that the library datasets saved to disk",
            "hf_datasets:load_hf_dataset",
            extra="datasets",
            prefix="hf:",
        ),
        DataSource(
            "plugin",
            "NAME",
            "entry points of the group audit.data",
            "data_plugins:load_plugin",
        ),
    )
}


def source_of(name: str) -> DataSource:
    """The source that a name of data means: by its prefix, or that of names without one."""
    for source in SOURCES.values():
        if source.prefix and name.startswith(source.prefix):
            return source
    return SOURCES["plugin" if name in data_plugins.plugins() else "manifest"]


def expect_known_data(name: str) -> None:
    """Refuse data that lie nowhere, before anything heavy is imported.

    Raises:
        DataError: there is no such file or folder; the message offers the nearest name.
    """
    source = source_of(name)
    if source.prefix and not Path(name.removeprefix(source.prefix)).exists():
        place = name.removeprefix(source.prefix)
        raise DataError(
            f"{name}: expected {source.what}, found no file or folder '{place}'; check the path "
            "(it is read relative to the current folder)"
        )
    if source.key == "manifest" and name != BUNDLED:
        manifest_at(Path(name))


def manifest_at(place: Path) -> Path:
    """The file of a manifest, which may be named by its folder.

    Raises:
        DataError: there is none.
    """
    candidates = [place] if place.is_file() else [place / name for name in MANIFESTS]
    for path in candidates:
        if path.is_file():
            return path
    known = [
        BUNDLED,
        *data_plugins.plugins(),
        *(one.prefix for one in SOURCES.values() if one.prefix),
    ]
    head, colon, _ = str(place).partition(":")
    close = "" if place.exists() else hint(head + colon, known)
    folder = "" if colon else f"a folder with one folder a class is folder:{place}, and "
    raise DataError(
        f"expected a manifest (CSV or Parquet), or a folder with manifest.csv, found none at "
        f"'{place}'{close}; {folder}'audit list datasets' shows what else there is"
    )


def pairs_of(
    model: ModelInputs,
    name: str,
    count: int | None,
    *,
    seed: int,
    template: str,
    grid: int | str,
    allow_outside: bool = False,
) -> Pairs:
    """The pairs that settings name.

    Args:
        model: preprocesses pictures and prompts.
        name: of the data.
        count: how many pairs, None for all.
        seed: of the draw.
        template: prompt of a class, see `audit.data.class_targets`.
        grid: cells on either side, ``off``, or ``auto``: `GRID` where pictures have labels and no
            masks, and there are enough of distinct classes.
        allow_outside: also read files that lie outside of the data's folder.

    Raises:
        DataError: the data cannot be read, or not be composed to the grids that are asked for.
    """
    from audit.data.class_targets import without_unknown
    from audit.data.drawn_pairs import drawn_pairs
    from audit.data.grids import grid_pairs

    data = source_of(name).load(name, allow_outside=allow_outside).sound()
    data = without_unknown(model, data)
    if isinstance(grid, int) and grid:
        return grid_pairs(model, data, grid, count, seed=seed, template=template)
    if grid == "auto" and data.mask is None and not data.texts:
        try:
            return grid_pairs(model, data, GRID, count, seed=seed, template=template)
        except NoGridError as error:
            told = (
                f"{data.name}: there are no masks, and grids of {GRID}×{GRID} pictures, whose "
                f"cells are masks, need {GRID * GRID} pictures of distinct classes; found "
                f"{error.found}."
            )
        data = replace(data, notes=(*data.notes, told))
    return drawn_pairs(model, data, count, seed=seed, template=template)


def _named(target: str) -> Any:
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(f"audit.data.{module}"), function)
