"""Masks as COCO's instances write them, polygons and run lengths, drawn by pycocotools.

pycocotools believes what it is given: it asks for as much memory as a coordinate says, and runs
that end too early leave pixels that nobody has set. So shapes are checked before it draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from audit.data.errors import DataError
from audit.data.mask_files import Mask
from audit.data.picture_files import MOST_PIXELS
from audit.data.upright import PictureError

_CORNERS = 3  # of a polygon, at least
_FIRST = 48  # the character 0 begins the 64 that run lengths are coded in
_FOLLOWS, _SIGN, _BITS = 32, 16, 5


def instance_mask(shapes: Sequence[Any], size: tuple[int, int]) -> Mask:
    """The union of some instances, as pycocotools draws them.

    Args:
        shapes: the ``segmentation`` of each annotation.
        size: height and width.

    Raises:
        PictureError: a shape is neither polygons nor run lengths of this size, or none has a pixel.
        DataError: pycocotools is missing.
    """
    height, width = size
    if not 0 < height * width <= MOST_PIXELS:
        raise PictureError(f"expected at most {MOST_PIXELS:,} pixels, found {width}×{height}")
    coded = _pycocotools()
    union = np.zeros(size, dtype=bool)
    for shape in shapes:
        checked = _runs(shape, size) if isinstance(shape, dict) else _polygons(shape, size)
        found = coded.frPyObjects(checked, height, width)
        union |= coded.decode(coded.merge(found if isinstance(found, list) else [found])) > 0
    if not union.any():
        raise PictureError("expected a mask of an object, found one without a pixel")
    return union


def _polygons(shape: Any, size: tuple[int, int]) -> list[list[float]]:
    """Polygons, each a list of x, y, x, y, …, at most one picture away from the picture."""
    flat = isinstance(shape, list) and shape and not isinstance(shape[0], list)
    polygons = [shape] if flat else shape
    if not (isinstance(polygons, list) and polygons):
        raise PictureError(
            f"expected polygons or run lengths as its segmentation, found {_short(shape)}"
        )
    side = max(size)
    for one in polygons:
        numbers = isinstance(one, list) and all(isinstance(n, (int, float)) for n in one)
        if not numbers or len(one) % 2 or len(one) < 2 * _CORNERS:
            raise PictureError(
                f"expected polygons of {_CORNERS} or more corners x, y, found {_short(one)}"
            )
        far = [n for n in one if not -side <= n <= 2 * side]  # NaN as well
        if far:
            raise PictureError(
                f"expected corners of polygons near its {size[1]}×{size[0]} pixels, found {far[0]}"
            )
    return polygons


def _runs(shape: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Run lengths, in numbers, that fill the picture."""
    if shape.get("size") != list(size):
        raise PictureError(
            f"expected run lengths of the size {list(size)}, found {_short(shape.get('size'))}"
        )
    counts = shape.get("counts")
    if isinstance(counts, str):
        counts = _decoded(counts)
    listed: list[Any] = counts if isinstance(counts, list) else [None]
    whole = all(isinstance(n, int) and n >= 0 for n in listed)
    if not whole or sum(listed) != size[0] * size[1]:
        found = f"a sum of {sum(listed):,}" if whole else _short(counts)
        raise PictureError(
            f"expected run lengths, from 0, whose sum is {size[0] * size[1]:,}, found {found}"
        )
    return {"counts": counts, "size": list(size)}


def _decoded(written: str) -> list[int]:
    """The run lengths in a text: 5 bits a character, each beyond the third less the last but one.

    Raises:
        PictureError: it is no such text.
    """
    counts: list[int] = []
    value = place = 0
    for character in written:
        bits = ord(character) - _FIRST
        if not 0 <= bits < 2 * _FOLLOWS:
            raise PictureError(f"expected run lengths as text, found {_short(written)}")
        value |= (bits & (_FOLLOWS - 1)) << (_BITS * place)
        place += 1
        if bits & _FOLLOWS:
            continue
        value -= (1 << (_BITS * place)) if bits & _SIGN else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = place = 0
    if place:
        raise PictureError("expected run lengths as text, found one that is cut off")
    return counts


def _short(value: object) -> str:
    written = repr(value)
    return written if len(written) <= 60 else f"{written[:57]}…"


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise DataError(
            "coco: expected pycocotools, which reads COCO's masks, found none; "
            'pip install "explainer-audit[coco]"'
        ) from error
    return mask
