"""What is kept of values at an entrance: a few rows of each, and of fewer where there are many."""

from __future__ import annotations

import torch
from torch import Tensor

from audit.trace.observations import AlterationSeen, Entry

_ROWS_OF_AN_ENTRY = 24
_SAMPLES = 48
_ROUNDINGS = 8


def some_rows(values: Tensor) -> Tensor:
    """A few rows, evenly spread, the first among them."""
    step = -(-len(values) // _ROWS_OF_AN_ENTRY)
    return values[::step].clone()


def thin(seen: list[Entry] | list[AlterationSeen]) -> None:
    """Let every second sample go where there are many."""
    kept = [one for one in seen if one.sample is not None]
    if len(kept) > _SAMPLES:
        for one in kept[1::2]:
            one.sample = None


def rounding_of_pixels(inputs: Tensor) -> float:
    """Mean difference to the given picture that a few roundings explain."""
    return _ROUNDINGS * torch.finfo(inputs.dtype).eps if inputs.is_floating_point() else 0.0
