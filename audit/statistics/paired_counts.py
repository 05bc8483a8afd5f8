"""Counts of right answers on the same pictures."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool


def lie_apart(one: Bool[np.ndarray, " pictures"], other: Bool[np.ndarray, " pictures"]) -> bool:
    """Whether two models' numbers of right pictures differ by more than a standard error.

    Args:
        one: whether a model is right about each picture.
        other: whether another is.
    """
    gained, lost = int((one & ~other).sum()), int((other & ~one).sum())
    return abs(gained - lost) > math.sqrt(gained + lost)
