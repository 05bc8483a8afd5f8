"""Pictures, masks and saliency maps as small data URIs.

Maps stay at the resolution of their patch grid; the style sheet enlarges them without smoothing.
Relevance is drawn in viridis, signed relevance in coolwarm with zero in the middle; both are
perceptually uniform and told apart by color-blind readers. A missing value is transparent.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = [
    "Grid",
    "Scale",
    "Thumbnail",
    "map_uri",
    "mask_uri",
    "ramp_uri",
    "reduced",
    "scale_of",
    "thumbnail",
]

Grid: TypeAlias = Sequence[Sequence[float | None]]

_MAPS: Final = {False: "viridis", True: "coolwarm"}
_FORMATS = ("PNG", "JPEG", "WEBP")  # decoded in this process, unlike EPS
_LARGE_SIDE, _SMALL_SIDE = 256, 160  # of thumbnails, in pixels
_FINE_GRID, _COARSE_GRID = 128, 32  # of maps, in cells
_EXACT_SIDE: Final = 96  # up to here a thumbnail can be kept without loss
_MISSING: Final = 255
_PALETTE_FROM: Final = 640  # pixels from which a palette is smaller than colors
_FOREGROUND, _BACKGROUND = (236, 236, 232), (38, 40, 44)
_IMAGE_ERRORS: Final = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Scale:
    """The range of relevance that a color map spans; ``None`` where no value is known."""

    low: float | None
    high: float | None
    signed: bool


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, with its size in pixels."""

    uri: str
    width: int
    height: int


def scale_of(grids: Iterable[Grid]) -> Scale:
    """One scale over `grids`: lowest to highest, or about zero where both signs occur."""
    values = np.concatenate([_array(grid).ravel() for grid in grids] or [np.empty(0)])
    values = values[np.isfinite(values)]
    if not values.size:
        return Scale(None, None, signed=False)
    low, high = float(values.min()), float(values.max())
    if low < 0 < high:
        return Scale(-max(-low, high), max(-low, high), signed=True)
    return Scale(low, high, signed=False)


def map_uri(grid: Grid, scale: Scale) -> str:
    """A map on its grid as a PNG, colored by `scale`."""
    values = _array(grid)
    levels = np.full(values.shape, _MISSING, np.uint8)
    known = np.isfinite(values)
    levels[known] = _levels(values[known], scale)
    return _png(levels, _colors(_MAPS[scale.signed]))


def reduced(grid: Grid, *, exact: bool = False) -> Grid:
    """A grid of more than 32 (`exact`: 128) rows or columns, as the means of square blocks."""
    values = _array(grid)
    factor = -(-max(values.shape) // (_FINE_GRID if exact else _COARSE_GRID))
    if factor == 1:
        return grid
    rows, columns = (-(-side // factor) for side in values.shape)
    padded = np.full((rows * factor, columns * factor), np.nan)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(rows, factor, columns, factor)
    counts = np.isfinite(blocks).sum(axis=(1, 3))
    sums = np.nansum(np.where(np.isfinite(blocks), blocks, np.nan), axis=(1, 3))
    means = np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    return [[None if np.isnan(one) else float(one) for one in row] for row in means]


def mask_uri(mask: Grid) -> str:
    """A mask as a PNG: the object is light."""
    inside = np.nan_to_num(np.clip(_array(mask), 0, 1))[..., None]
    pixels = inside * np.array(_FOREGROUND) + (1 - inside) * np.array(_BACKGROUND)
    return _uri(Image.fromarray(pixels.round().astype(np.uint8)), "png")


@lru_cache(maxsize=2)
def ramp_uri(*, signed: bool) -> str:
    """The color bar from the lowest to the highest value."""
    return _png(np.arange(0, 255, 2, dtype=np.uint8)[None], _colors(_MAPS[signed]))


def thumbnail(png: str, *, exact: bool = False) -> Thumbnail | None:
    """A picture in base64, reduced and encoded anew; ``None`` if it is no picture.

    Args:
        png: the picture; whatever else is hidden in the file does not reach the page.
        exact: up to 256 instead of 160 pixels, and small pictures without loss.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = io.BytesIO(base64.b64decode(png, validate=True))
            file = Image.open(content, formats=_FORMATS)
            picture = file.convert("RGB")
    except (binascii.Error, Image.DecompressionBombWarning, *_IMAGE_ERRORS):
        return None
    side = _LARGE_SIDE if exact else _SMALL_SIDE
    picture.thumbnail((side, side))
    kept = exact and max(picture.size) <= _EXACT_SIDE
    return Thumbnail(_uri(picture, "png" if kept else "webp"), *picture.size)


def _array(grid: Grid) -> npt.NDArray[np.float64]:
    width = max((len(row) for row in grid), default=0)
    values = np.full((max(len(grid), 1), max(width, 1)), np.nan)
    for index, row in enumerate(grid):
        values[index, : len(row)] = [np.nan if value is None else value for value in row]
    return values


def _levels(values: npt.NDArray[np.float64], scale: Scale) -> npt.NDArray[np.uint8]:
    low, high = scale.low or 0.0, scale.high or 0.0
    span = high - low
    if not span > 0 or not np.isfinite(span):
        return np.full(values.shape, 127 if scale.signed else 0, np.uint8)
    return np.clip((values - low) / span * 254, 0, 254).round().astype(np.uint8)


@lru_cache(maxsize=2)
def _colors(name: str) -> npt.NDArray[np.uint8]:
    from matplotlib import colormaps

    table = np.asarray(colormaps[name](np.linspace(0, 1, 255), bytes=True))[:, :3]
    return np.concatenate([table, [[127, 127, 127]]]).astype(np.uint8)


def _png(levels: npt.NDArray[np.uint8], colors: npt.NDArray[np.uint8]) -> str:
    missing = bool((levels == _MISSING).any())
    if levels.size >= _PALETTE_FROM:
        picture = Image.fromarray(levels)
        picture.putpalette(colors.tobytes())
        return _uri(picture, "png", transparency=_MISSING if missing else None)
    pixels = colors[levels]
    if missing:
        alpha = np.where(levels == _MISSING, 0, 255).astype(np.uint8)
        pixels = np.concatenate([pixels, alpha[..., None]], axis=-1)
    return _uri(Image.fromarray(pixels), "png")


def _uri(picture: Image.Image, kind: str, *, transparency: int | None = None) -> str:
    buffer = io.BytesIO()
    if kind == "webp":
        picture.save(buffer, format="WEBP", quality=80, method=4)
    elif transparency is not None:
        picture.save(buffer, format="PNG", transparency=transparency)
    else:
        picture.save(buffer, format="PNG", compress_level=9)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
