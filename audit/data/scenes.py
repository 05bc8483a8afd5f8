"""Procedurally drawn scenes with captions and exact masks.

A scene holds one to three objects on a cluttered background of colored noise. The class of
an object is its color and its fill; its outline is drawn at random and is no part of the class.

The pixels are the same bytes on every machine and with every version of numpy: all arithmetic
is on integers, and the only source of randomness is the raw output of PCG64, whose stream numpy
guarantees (the streams of `Generator` methods are not guaranteed; NEP 19).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "CLASSES",
    "COLORS",
    "FILLS",
    "MAX_OBJECTS",
    "OUTLINES",
    "SIZE",
    "SPLITS",
    "TEMPLATES",
    "Scene",
    "draw_scene",
    "draw_scenes",
]

SIZE: Final = 72
PERIOD: Final = 6
MAX_OBJECTS: Final = 3
COLORS: Final = ("red", "green", "blue", "yellow", "purple", "white")
FILLS: Final = ("plain", "barred", "striped", "slanted", "checked", "dotted")
CLASSES: Final[tuple[str, ...]] = tuple(f"{c} {f} shape" for c in COLORS for f in FILLS)
TEMPLATES: Final[tuple[str, ...]] = ("a picture of a {}.",)
SPLITS: Final = ("train", "test")

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

_RGB: Final = np.array(
    [(215, 45, 45), (50, 180, 60), (50, 80, 220), (225, 205, 50), (155, 55, 190), (228, 228, 228)],
    dtype=np.int64,
)
_RADII: Final = {1: (11, 22), 2: (10, 17), 3: (9, 14)}  # low, high (excluded), in pixels
_GAP: Final = 2
_LAYOUT_TRIES: Final = 40
_ROWS, _COLUMNS = (axis.astype(np.int64) for axis in np.indices((SIZE, SIZE)))
_WORD_LIMIT: Final = 2**32


@dataclass(frozen=True, eq=False)
class Scene:
    """One drawn picture and what is in it.

    Attributes:
        image: uint8 (72, 72, 3), RGB.
        labels: class index of each object in drawing order, distinct.
        masks: bool (objects, 72, 72), the visible pixels of each object, disjoint.
        caption: names the class of every object in drawing order.
    """

    image: npt.NDArray[np.uint8]
    labels: tuple[int, ...]
    masks: BoolArray
    caption: str


def draw_scene(
    index: int, *, seed: int = 0, split: str = "test", objects: int | None = None
) -> Scene:
    """Draw scene `index` of a split; it does not depend on any other scene.

    Args:
        index: number of the scene in its split, in [0, 2**32).
        seed: names a family of scenes, in [0, 2**32).
        split: "train" or "test"; their random streams never coincide.
        objects: 1, 2 or 3, or None to draw the number at random.

    Raises:
        ValueError: an argument is outside its range.
    """
    bits = _stream(index, seed, split, objects)
    drawn = _integer(bits, 1, MAX_OBJECTS + 1)
    count = drawn if objects is None else objects
    labels = _distinct_classes(bits, count)
    image = _background(bits)
    masks = np.zeros((count, SIZE, SIZE), dtype=np.bool_)
    for i, (row, column, radius) in enumerate(_layout(bits, count)):
        outline = OUTLINE_MASKS[_integer(bits, 0, len(OUTLINE_MASKS))]
        masks[i] = outline(_ROWS - row, _COLUMNS - column, radius)
        paint(bits, image, masks[i], labels[i])
    image += _noise(bits, (SIZE, SIZE, 3), 12)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return Scene(pixels, labels, masks, _caption(labels))


def draw_scenes(
    count: int, *, seed: int = 0, split: str = "test", objects: int | None = None
) -> list[Scene]:
    """Draw scenes 0 to `count` - 1 of a split; arguments and errors as in `draw_scene`."""
    if count < 0:
        msg = f"count must be 0 or more, got {count}"
        raise ValueError(msg)
    return [draw_scene(i, seed=seed, split=split, objects=objects) for i in range(count)]


def _stream(index: int, seed: int, split: str, objects: int | None) -> np.random.PCG64:
    for name, value in (("index", index), ("seed", seed)):
        if not 0 <= value < _WORD_LIMIT:
            msg = f"{name} must be in [0, 2**32), got {value}"
            raise ValueError(msg)
    if split not in SPLITS:
        msg = f"split must be one of {', '.join(SPLITS)}, got {split!r}"
        raise ValueError(msg)
    if objects is not None and not 1 <= objects <= MAX_OBJECTS:
        msg = f"objects must be in 1..{MAX_OBJECTS} or None, got {objects}"
        raise ValueError(msg)
    # Three words of 32 bits each, so two different triples are never the same entropy.
    return np.random.PCG64(np.random.SeedSequence([seed, SPLITS.index(split), index]))


def _integer(bits: np.random.PCG64, low: int, high: int) -> int:
    """Draw one integer of [low, high); the bias of the modulus is below 2**-56."""
    return low + int(bits.random_raw()) % (high - low)


def _integers(bits: np.random.PCG64, low: int, high: int, count: int) -> IntArray:
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
    return (raw % np.uint64(high - low)).astype(np.int64) + low


def _noise(bits: np.random.PCG64, shape: tuple[int, ...], strength: int) -> IntArray:
    """Draw integers spread evenly over [-strength, strength)."""
    count = int(np.prod(shape))
    raw = np.asarray(bits.random_raw(-(-count // 8)), dtype="<u8").view(np.uint8)[:count]
    return ((raw.astype(np.int64) * (2 * strength)) >> 8).reshape(shape) - strength


def _distinct_classes(bits: np.random.PCG64, count: int) -> tuple[int, ...]:
    left = list(range(len(CLASSES)))
    return tuple(left.pop(_integer(bits, 0, len(left))) for _ in range(count))


def _background(bits: np.random.PCG64) -> IntArray:
    image = np.broadcast_to(_integers(bits, 70, 160, 3), (SIZE, SIZE, 3)).copy()
    for cell, strength in ((18, 36), (6, 30), (2, 18)):
        side = SIZE // cell
        coarse = _noise(bits, (side, side, 3), strength)
        image += coarse.repeat(cell, axis=0).repeat(cell, axis=1)
    for top, left, height, width, *color in _clutter(bits):
        image[top : top + height, left : left + width] = color
    return image


def _clutter(bits: np.random.PCG64) -> list[list[int]]:
    """Draw bars and specks too thin to be objects: top, left, height, width, red, green, blue."""
    count = _integer(bits, 6, 15)
    corners = _integers(bits, 0, SIZE, 2 * count).reshape(count, 2)
    sides = _integers(bits, 1, 4, 2 * count).reshape(count, 2)
    long = _integers(bits, 0, 2, count)
    sides[np.arange(count), long] *= 4
    colors = _integers(bits, 20, 236, 3 * count).reshape(count, 3)
    rows: list[list[int]] = np.concatenate([corners, sides, colors], axis=1).tolist()
    return rows


def _layout(bits: np.random.PCG64, count: int) -> list[tuple[int, int, int]]:
    """Place `count` circles (row, column, radius) inside the picture and apart from each other."""
    low, high = _RADII[count]
    placed: list[tuple[int, int, int]] = []
    while len(placed) < count:
        placed.clear()
        for _ in range(_LAYOUT_TRIES):
            radius = _integer(bits, low, high)
            row, column = (_integer(bits, radius, SIZE - radius) for _ in range(2))
            if all(_apart(row, column, radius, other) for other in placed):
                placed.append((row, column, radius))
            if len(placed) == count:
                break
    return placed


def _apart(row: int, column: int, radius: int, other: tuple[int, int, int]) -> bool:
    distance = (row - other[0]) ** 2 + (column - other[1]) ** 2
    return distance > (radius + other[2] + _GAP) ** 2


def paint(bits: np.random.PCG64, image: IntArray, mask: BoolArray, label: int) -> None:
    color, fill = divmod(label, len(FILLS))
    light = np.clip(_RGB[color] + _integers(bits, -20, 21, 3), 0, 255)
    row, column = _integers(bits, 0, PERIOD, 2).tolist()
    dark = FILL_PATTERNS[fill](_ROWS + row, _COLUMNS + column)
    image[mask] = light
    image[mask & dark] = light // 4


def _caption(labels: tuple[int, ...]) -> str:
    names = [f"a {CLASSES[label]}" for label in labels]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"a picture of {listed}."


# Outlines: rows and columns relative to the center, radius -> bool; all stay inside the circle.


def _circle(y: IntArray, x: IntArray, r: int) -> BoolArray:
    return np.asarray(x * x + y * y <= r * r)


def _square(y: IntArray, x: IntArray, r: int) -> BoolArray:
    return np.asarray(10 * np.maximum(np.abs(x), np.abs(y)) <= 7 * r)


def _hexagon(y: IntArray, x: IntArray, r: int) -> BoolArray:
    across, down = np.abs(x), np.abs(y)
    return np.asarray((1000 * down <= 866 * r) & (866 * across + 500 * down <= 866 * r))


def _heart(y: IntArray, x: IntArray, r: int) -> BoolArray:
    """(u^2 + v^2 - 1)^3 <= u^2 v^3 with u = 7x / 5r and v = -7y / 5r, multiplied out."""
    u, v, n = 7 * x, -7 * y, 5 * r
    inner = u * u + v * v - n * n
    return np.asarray(inner * inner * inner <= u * u * v * v * v * n)


def _star(y: IntArray, x: IntArray, r: int) -> BoolArray:
    """Inside at least four of the five half-planes of a pentagram, tips cut at the circle."""
    normals = ((0, 1000), (951, 309), (588, -809), (-588, -809), (-951, 309))
    inside = np.zeros(x.shape, dtype=np.int64)
    for across, down in normals:
        inside += across * x + down * y <= 400 * r
    return (inside >= 4) & _circle(y, x, r)


def _cross(y: IntArray, x: IntArray, r: int) -> BoolArray:
    across, down = np.abs(x), np.abs(y)
    thin, long = np.minimum(across, down), np.maximum(across, down)
    return np.asarray((100 * thin <= 36 * r) & (100 * long <= 93 * r))


# Fills: rows and columns -> bool, where the color is darkened.


def _plain(y: IntArray, x: IntArray) -> BoolArray:
    return np.zeros(np.broadcast(y, x).shape, dtype=np.bool_)


def _barred(y: IntArray, x: IntArray) -> BoolArray:
    return np.asarray((x + 0 * y) % PERIOD < PERIOD // 2)


def _striped(y: IntArray, x: IntArray) -> BoolArray:
    return np.asarray((y + 0 * x) % PERIOD < PERIOD // 2)


def _slanted(y: IntArray, x: IntArray) -> BoolArray:
    return np.asarray((x + y) % PERIOD < PERIOD // 2)


def _checked(y: IntArray, x: IntArray) -> BoolArray:
    return _barred(y, x) ^ _striped(y, x)


def _dotted(y: IntArray, x: IntArray) -> BoolArray:
    """Dots of 12 pixels: squares of 4 x 4 without their corners."""
    across, down = np.abs(2 * (x % PERIOD) - 5), np.abs(2 * (y % PERIOD) - 5)
    return np.asarray((across <= 3) & (down <= 3) & (across + down < 6))


OUTLINE_MASKS: Final[tuple[Callable[[IntArray, IntArray, int], BoolArray], ...]] = (
    _circle,
    _square,
    _hexagon,
    _heart,
    _star,
    _cross,
)
OUTLINES: Final[tuple[str, ...]] = tuple(draw.__name__.removeprefix("_") for draw in OUTLINE_MASKS)
FILL_PATTERNS: Final[tuple[Callable[[IntArray, IntArray], BoolArray], ...]] = (
    _plain,
    _barred,
    _striped,
    _slanted,
    _checked,
    _dotted,
)
