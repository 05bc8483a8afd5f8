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
        self._parts: dict[int, list[tuple[str, Tensor]]] = defaultdict(list)
        for path, values in _parts(tensors):
            self._parts[values.numel()].append((path, values))
        self._prints: dict[int, tuple[list[str], Prints]] = {}

    def path_of(self, t: Tensor) -> str:
        """Dotted name of the parameter whose values these are; empty where it is none."""
        if t.numel() not in self._parts or not t.is_floating_point() or is_uniform(t):
            return ""
        paths, known = self._of_size(t.numel())
        found = matches(fingerprint(plain(t).reshape(1, -1)), known, torch.finfo(t.dtype).eps)[0]
        return paths[int(found.argmax())] if found.any() else ""

    def _of_size(self, size: int) -> tuple[list[str], Prints]:
        """Names and fingerprints of the parameters of a size, computed when one is asked for."""
        if size not in self._prints:
            telling = [(path, t) for path, t in self._parts[size] if not is_uniform(t)]
            prints = [fingerprint(t.reshape(1, -1)) for _, t in telling]
            empty = np.zeros((0, 9))
            self._prints[size] = [path for path, _ in telling], np.concatenate([empty, *prints])
        return self._prints[size]


def is_uniform(t: Tensor) -> bool:
    """Whether all values are one: they tell nothing of where they come from."""
    values = plain(t)
    return t.numel() < 2 or bool((values == values.reshape(-1)[0]).all())


def _parts(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Tensors, and their thirds along the first axis: queries, keys and values may be apart."""
    for path, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel() > 1:
            yield path, tensor
            if tensor.ndim and len(tensor) % _THIRDS == 0:
                yield from ((path, part) for part in tensor.chunk(_THIRDS))
