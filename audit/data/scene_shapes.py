"""Outlines and fills of the objects in the bundled scenes, on integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["FILL_PATTERNS", "OUTLINES", "OUTLINE_MASKS", "PERIOD"]

PERIOD: Final = 6

IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

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
