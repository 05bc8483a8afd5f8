"""The model's parameters and buffers, recognized by their values in any shape or order.

A deep copy, a fork or a conversion to another library holds the same numbers in other tensors,
often in other shapes: transposed, with an axis more, or with queries, keys and values apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from audit.models.unwrapped_values import plain
from audit.trace.fingerprint import Prints, fingerprint, matches

_THIRDS = 3  # queries, keys and values in one tensor


class ParameterValues:
    """Tells which parameter of the model a tensor holds.

    Args:
        tensors: parameters and buffers of a pristine copy, by dotted name.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._paths: dict[int, list[str]] = defaultdict(list)
        prints: dict[int, list[Prints]] = defaultdict(list)
        for path, values in _parts(tensors):
            self._paths[values.numel()].append(path)
            prints[values.numel()].append(fingerprint(values.reshape(1, -1)))
        self._prints = {size: np.concatenate(rows) for size, rows in prints.items()}

    def path_of(self, t: Tensor) -> str:
        """Dotted name of the parameter whose values these are; empty where it is none."""
        known = self._prints.get(t.numel())
        if known is None or not t.is_floating_point() or is_uniform(t):
            return ""
        tolerance = torch.finfo(t.dtype).eps
        found = matches(fingerprint(plain(t).reshape(1, -1)), known, tolerance)[0]
        return self._paths[t.numel()][int(found.argmax())] if found.any() else ""


def is_uniform(t: Tensor) -> bool:
    """Whether all values are one: they tell nothing of where they come from."""
    values = plain(t)
    return t.numel() < 2 or bool((values == values.reshape(-1)[0]).all())


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Tensors that tell something, and their thirds along the first axis."""
    for path, tensor in tensors.items():
        if not tensor.is_floating_point() or is_uniform(tensor):
            continue
        yield path, tensor
        if tensor.ndim and len(tensor) % _THIRDS == 0 and "in_proj" in path:
            yield from ((path, part) for part in tensor.chunk(_THIRDS) if not is_uniform(part))
