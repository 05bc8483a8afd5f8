"""Masks in picture files, as people save them, and boxes: which pixels are the object.

A file says it by 0 and 1, by 0 and 255, by the id of an object or class, by its transparency, or by
soft edges. Where it holds several ids, `value` names the object's. What cannot be told is refused,
and so is a mask without an object: an empty mask would count as a map that misses.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from PIL import Image

from audit.data.upright import OpenedPicture, PictureError

VOID = 255  # pixels that are left open, in class ids of 8 bits
_SHOWN = 5
_BEYOND = 0.1  # of a side, by which a box may reach beyond it
_ASPECT = 0.02  # by which the shapes of a mask and its picture may differ, from rounding
_HALF = 0.5

Mask = Bool[np.ndarray, "h w"]


def object_in(stored: Image.Image, value: int | None = None) -> Mask:
    """Which pixels of a mask file are the object.

    Args:
        stored: as it is in the file.
        value: of the object's pixels; None where the file holds one object.

    Raises:
        PictureError: it holds none, or several, or the background cannot be told from the object.
    """
    levels = _levels(stored)
    if value is not None:
        return _expect_some(levels == value, f"no pixel of value {value}, only {_named(levels)}")
    mask = _one_object(levels, ids=stored.mode == "P")
    _expect_some(mask, "no object: every pixel is 0")
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if edge.all() and not mask.all():
        raise PictureError(
            "expected a mask of 0 where the object is not, found one whose border is all object; "
            "invert it, or say in a column mask_value which value is the object's"
        )
    return mask


def class_numbers(stored: Image.Image) -> np.ndarray:
    """The class of every pixel of a mask that says it by a palette or by gray levels.

    Raises:
        PictureError: the palette was lost, so that colors do not say which class they are.
    """
    if stored.mode not in {"P", "L"} and not stored.mode.startswith("I"):
        raise PictureError(
            f"expected a mask of one number a pixel, by palette or gray levels, found the mode "
            f"{stored.mode}; save it as it was handed out"
        )
    return np.asarray(stored)


def moved_mask(mask: Mask, opened: OpenedPicture) -> Image.Image:
    """A mask in the pixels of its picture as it is seen, 0 or 255.

    A mask of another resolution is scaled. One that has the shape of the stored picture is turned
    with it; one that has the shape of the upright picture only is upright.

    Raises:
        PictureError: it has neither shape.
    """
    found = Image.fromarray(mask.astype(np.uint8) * 255)
    shapes = (opened.stored, opened.size)
    other = found.size not in shapes
    swapped = other and found.size[::-1] in shapes
    if swapped or not any(_alike(found.size, shape) for shape in shapes):
        raise PictureError(
            f"expected a mask of {opened.size[0]}×{opened.size[1]} pixels like its picture, found "
            f"{found.width}×{found.height}"
        )
    if found.size == opened.stored or (other and _alike(found.size, opened.stored)):
        found = opened.turned(found)
    if found.size == opened.size:
        return found
    return found.resize(opened.size, Image.Resampling.NEAREST)


def box_mask(box: tuple[int, int, int, int], opened: OpenedPicture) -> Image.Image:
    """A box of stored pixels x0, y0, x1, y1, all inclusive, as a mask of the picture as it is seen.

    What reaches a little beyond the picture, as a hand draws it, is cut off.

    Raises:
        PictureError: it is none, begins outside of the picture, or ends far beyond it.
    """
    width, height = opened.stored
    x0, y0, x1, y1 = box
    if not (0 <= x0 <= x1 and 0 <= y0 <= y1 and x0 < width and y0 < height):
        raise PictureError(
            f"expected a box x0 ≤ x1, y0 ≤ y1 that begins inside the {width}×{height} pixels of "
            f"the picture, found {x0}, {y0}, {x1}, {y1}; correct it, name the columns x, y, w, h "
            "if that is what they are, or leave the row out"
        )
    if x1 >= (1 + _BEYOND) * width or y1 >= (1 + _BEYOND) * height:
        raise PictureError(
            f"expected a box that ends inside the {width}×{height} pixels of the picture, found "
            f"{x0}, {y0}, {x1}, {y1}; if it was drawn on a larger copy of the picture give that "
            "one, or boxes as fractions of the picture, or leave the row out"
        )
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[y0 : y1 + 1, x0 : x1 + 1] = 255
    return opened.turned(Image.fromarray(mask))


def _levels(stored: Image.Image) -> np.ndarray:
    """One number a pixel.

    Raises:
        PictureError: its colors are more than one number a pixel.
    """
    if stored.mode in {"1", "L", "P"} or stored.mode.startswith("I"):
        return np.asarray(stored).astype(np.int64)
    if stored.mode == "F":
        return np.asarray(stored)
    layers = np.asarray(stored.convert("LA" if stored.mode == "LA" else "RGBA")).astype(np.int64)
    colors, alpha = layers[..., :-1], layers[..., -1]
    if alpha.min() < VOID:
        return np.where(alpha > _HALF * VOID, VOID, 0)
    if (colors == colors[..., :1]).all():
        return np.asarray(colors[..., 0])
    packed = colors @ np.array([1, 256, 256**2])
    if len(np.unique(packed)) == 2 and (packed == 0).any():
        return np.asarray(packed)
    raise PictureError(
        "expected a mask of one object, found several colors; save it as 0 and 255, or as ids with "
        "a column mask_value"
    )


def _one_object(levels: np.ndarray, *, ids: bool) -> Mask:
    """Which pixels are the object, where nothing names its value.

    Raises:
        PictureError: several values may be it.
    """
    values, counts = np.unique(levels[levels != 0], return_counts=True)
    if len(values) > 1 and ids:
        values, counts = values[values != VOID], counts[values != VOID]
    if len(values) <= 1:
        return np.isin(levels, values)
    most = values[-1]
    soft_edges = len(values) > 2 and most in {VOID, 65_535, 1.0} and 2 * counts[-1] >= counts.sum()
    if soft_edges and not ids:
        return np.asarray(levels > _HALF * most)
    raise PictureError(
        f"expected a mask of one object, found the values {_named(levels)}; say in a column "
        "mask_value which of them is the object's"
    )


def _expect_some(mask: Mask, otherwise: str) -> Mask:
    if not mask.any():
        raise PictureError(f"expected a mask of an object, found {otherwise}")
    return mask


def _named(levels: np.ndarray) -> str:
    values = np.unique(levels)
    rest = len(values) - _SHOWN
    return ", ".join(f"{v:g}" for v in values[:_SHOWN]) + (
        f" and {rest:,} more" if rest > 0 else ""
    )


def _alike(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Whether both have one shape: the same, or another resolution of it."""
    if size == wanted:
        return True
    (width, height), (w, h) = size, wanted
    return abs(width * h - height * w) <= _ASPECT * max(width * h, height * w)
