"""Procedurally drawn scenes with captions and exact masks, graded in difficulty.

A scene holds one to three objects on a cluttered background of colored noise. The class of
an object is its color and its fill; its outline is drawn at random and is no part of the class.
A quarter of the scenes is easy (level 0); the others have a level of 1 to 100, up to which their
objects are faint, small, noisy, overlapped by each other, and among shapes of no class. Levels are
spread evenly in the train split and lie higher in the test split, where an audit needs pictures
that the model gets wrong as well.

The pixels are the same bytes on every machine and with every version of numpy: all arithmetic
is on integers, and the only source of randomness is the raw output of PCG64, whose stream numpy
guarantees (the streams of `Generator` methods are not guaranteed; NEP 19).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from audit.data.raw_integers import integer, integers, noise
from audit.data.scene_difficulty import HARDEST, OPAQUE, Difficulty, drawn_difficulty, drawn_level
from audit.data.scene_shapes import (
    FILL_PATTERNS,
    OUTLINE_MASKS,
    PERIOD,
    BoolArray,
    IntArray,
)

__all__ = [
    "CLASSES",
    "COLORS",
    "FILLS",
    "HARDEST",
    "MAX_OBJECTS",
    "OTHER_NAMES",
    "SIZE",
    "SPLITS",
    "TEMPLATES",
    "Scene",
    "draw_scene",
    "draw_scenes",
]

SIZE: Final = 72
MAX_OBJECTS: Final = 3
COLORS: Final = ("red", "green", "blue", "yellow", "purple", "white")
FILLS: Final = ("plain", "barred", "striped", "slanted", "checked", "dotted")
CLASSES: Final[tuple[str, ...]] = tuple(f"{c} {f} shape" for c in COLORS for f in FILLS)
OTHER_COLORS: Final = ("crimson", "emerald", "azure", "golden", "violet", "pale")
OTHER_FILLS: Final = ("solid", "banded", "lined", "oblique", "chequered", "spotted")
OTHER_NAMES: Final[tuple[tuple[str, ...], ...]] = tuple(
    tuple(f"{c} {f} shape" for c in colors for f in fills)
    for colors, fills in (
        (OTHER_COLORS, FILLS), (COLORS, OTHER_FILLS), (OTHER_COLORS, OTHER_FILLS),
    )
)  # fmt: skip
"""The same classes in words of which one or both are in no caption of the train split, so that the
bundled model knows them less, for no reason that is seen in a picture."""
TEMPLATES: Final[tuple[str, ...]] = ("a picture of a {}.",)
SPLITS: Final = ("train", "test")

_RGB: Final = np.array(
    [(215, 45, 45), (50, 180, 60), (50, 80, 220), (225, 205, 50), (155, 55, 190), (228, 228, 228)],
    dtype=np.int64,
)
# Off the palette: orange, cyan, brown, gray.
OTHER_RGB: Final = np.array(
    [(235, 125, 40), (60, 195, 205), (120, 75, 45), (125, 125, 125)], dtype=np.int64
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
        level: of difficulty, in [0, 100].
    """

    image: npt.NDArray[np.uint8]
    labels: tuple[int, ...]
    masks: BoolArray
    caption: str
    level: int


def draw_scene(
    index: int,
    *,
    seed: int = 0,
    split: str = "test",
    objects: int | None = None,
    level: int | None = None,
) -> Scene:
    """Draw scene `index` of a split; it does not depend on any other scene.

    Args:
        index: number of the scene in its split, in [0, 2**32).
        seed: names a family of scenes, in [0, 2**32).
        split: "train" or "test"; their random streams never coincide.
        objects: 1, 2 or 3, or None to draw the number at random.
        level: of difficulty, 0 (easy) to 100, or None to draw it at random.

    Raises:
        ValueError: an argument is outside its range.
    """
    _check(index, seed, split, objects, level)
    bits = _stream(index, seed, split)
    drawn = integer(bits, 1, MAX_OBJECTS + 1)
    count = drawn if objects is None else objects
    # A stream of its own: an easy scene is the same whether its level is drawn or given.
    grading = _stream(index, seed, split, 1)
    found = drawn_level(grading, split)
    level = found if level is None else level
    difficulty = drawn_difficulty(grading, level)
    labels = _distinct_classes(bits, count)
    image = _background(bits)
    _paint_distractors(grading, image, difficulty)
    masks = np.zeros((count, SIZE, SIZE), dtype=np.bool_)
    for i, (row, column, radius) in enumerate(_layout(bits, count, difficulty)):
        outline = OUTLINE_MASKS[integer(bits, 0, len(OUTLINE_MASKS))]
        masks[i] = outline(_ROWS - row, _COLUMNS - column, radius)
        masks[:i] &= ~masks[i]
        color, fill = divmod(labels[i], len(FILLS))
        paint(bits, image, masks[i], _RGB[color], fill, difficulty.opacity)
    image += noise(bits, (SIZE, SIZE, 3), difficulty.noise)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return Scene(pixels, labels, masks, _caption(labels), level)


def draw_scenes(
    count: int,
    *,
    seed: int = 0,
    split: str = "test",
    objects: int | None = None,
    level: int | None = None,
) -> list[Scene]:
    """Draw scenes 0 to `count` - 1 of a split; arguments and errors as in `draw_scene`."""
    if count < 0:
        msg = f"count must be 0 or more, got {count}"
        raise ValueError(msg)
    return [
        draw_scene(i, seed=seed, split=split, objects=objects, level=level) for i in range(count)
    ]


def _check(index: int, seed: int, split: str, objects: int | None, level: int | None) -> None:
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
    if level is not None and not 0 <= level <= HARDEST:
        msg = f"level must be in 0..{HARDEST} or None, got {level}"
        raise ValueError(msg)


def _stream(index: int, seed: int, split: str, *purpose: int) -> np.random.PCG64:
    # Words of 32 bits each, none of a purpose zero: no two streams have the same entropy.
    words = [seed, SPLITS.index(split), index, *purpose]
    return np.random.PCG64(np.random.SeedSequence(words))


def _distinct_classes(bits: np.random.PCG64, count: int) -> tuple[int, ...]:
    left = list(range(len(CLASSES)))
    return tuple(left.pop(integer(bits, 0, len(left))) for _ in range(count))


def _background(bits: np.random.PCG64) -> IntArray:
    image = np.broadcast_to(integers(bits, 70, 160, 3), (SIZE, SIZE, 3)).copy()
    for cell, strength in ((18, 36), (6, 30), (2, 18)):
        side = SIZE // cell
        coarse = noise(bits, (side, side, 3), strength)
        image += coarse.repeat(cell, axis=0).repeat(cell, axis=1)
    for top, left, height, width, *color in _clutter(bits):
        image[top : top + height, left : left + width] = color
    return image


def _clutter(bits: np.random.PCG64) -> list[list[int]]:
    """Draw bars and specks too thin to be objects: top, left, height, width, red, green, blue."""
    count = integer(bits, 6, 15)
    corners = integers(bits, 0, SIZE, 2 * count).reshape(count, 2)
    sides = integers(bits, 1, 4, 2 * count).reshape(count, 2)
    long = integers(bits, 0, 2, count)
    sides[np.arange(count), long] *= 4
    colors = integers(bits, 20, 236, 3 * count).reshape(count, 3)
    rows: list[list[int]] = np.concatenate([corners, sides, colors], axis=1).tolist()
    return rows


def _layout(
    bits: np.random.PCG64, count: int, difficulty: Difficulty
) -> list[tuple[int, int, int]]:
    """Place `count` circles (row, column, radius) inside the picture and apart from each other."""
    low, high = _RADII[count]
    placed: list[tuple[int, int, int]] = []
    while len(placed) < count:
        placed.clear()
        for _ in range(_LAYOUT_TRIES):
            radius = integer(bits, low, high) * difficulty.size // 100
            row, column = (integer(bits, radius, SIZE - radius) for _ in range(2))
            if all(_apart(row, column, radius, near, difficulty.distance) for near in placed):
                placed.append((row, column, radius))
            if len(placed) == count:
                break
    return placed


def _apart(row: int, column: int, radius: int, near: tuple[int, int, int], percent: int) -> bool:
    squared = (row - near[0]) ** 2 + (column - near[1]) ** 2
    return squared * 100**2 > ((radius + near[2] + _GAP) * percent) ** 2


def _paint_distractors(bits: np.random.PCG64, image: IntArray, difficulty: Difficulty) -> None:
    for _ in range(difficulty.distractors):
        radius = integer(bits, 5, 13)
        row, column = (integer(bits, 0, SIZE) for _ in range(2))
        outline = OUTLINE_MASKS[integer(bits, 0, len(OUTLINE_MASKS))]
        mask = outline(_ROWS - row, _COLUMNS - column, radius)
        color = OTHER_RGB[integer(bits, 0, len(OTHER_RGB))]
        paint(bits, image, mask, color, integer(bits, 0, len(FILLS)), difficulty.opacity)


def paint(
    bits: np.random.PCG64,
    image: IntArray,
    mask: BoolArray,
    color: IntArray,
    fill: int,
    opacity: int,
) -> None:
    light = np.clip(color + integers(bits, -20, 21, 3), 0, 255)
    row, column = integers(bits, 0, PERIOD, 2).tolist()
    dark = FILL_PATTERNS[fill](_ROWS + row, _COLUMNS + column)[..., None]
    painted = np.where(dark, light // 4, light)[mask]
    image[mask] = (painted * opacity + image[mask] * (OPAQUE - opacity)) // OPAQUE


def _caption(labels: tuple[int, ...]) -> str:
    names = [f"a {CLASSES[label]}" for label in labels]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"a picture of {listed}."
