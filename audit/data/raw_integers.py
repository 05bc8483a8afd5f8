"""Integers from the raw output of PCG64, the same on every machine and version of numpy."""

from __future__ import annotations

import numpy as np

from audit.data.scene_shapes import IntArray


def integer(bits: np.random.PCG64, low: int, high: int) -> int:
    """Draw one integer of [low, high); the bias of the modulus is below 2**-56."""
    return low + int(bits.random_raw()) % (high - low)


def integers(bits: np.random.PCG64, low: int, high: int, count: int) -> IntArray:
    """Draw `count` integers of [low, high)."""
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
    return (raw % np.uint64(high - low)).astype(np.int64) + low


def noise(bits: np.random.PCG64, shape: tuple[int, ...], strength: int) -> IntArray:
    """Draw integers spread evenly over [-strength, strength)."""
    count = int(np.prod(shape))
    raw = np.asarray(bits.random_raw(-(-count // 8)), dtype="<u8").view(np.uint8)[:count]
    return ((raw.astype(np.int64) * (2 * strength)) >> 8).reshape(shape) - strength
