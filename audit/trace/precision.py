"""The precision that an explainer computes in, and how far rounding alone moves states there.

The unmodified model is replayed in the same dtype and under the same autocast. What its states
differ by when the same values take another way (other kernels, other company in the batch) is the
null control that every comparison is judged by.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audit.models.pristine import pristine_copy_in
from audit.models.structure import Structure

Library = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, eq=False)
class Precision:
    """How the model computes.

    Attributes:
        structure: of a pristine copy in the dtype of the weights.
        weights: dtype of the weights.
        autocast: what operations are cast to, None without autocast.
        library: a context in which torch and the model's classes are as they were.
    """

    structure: Structure
    weights: torch.dtype
    autocast: torch.dtype | None
    library: Library = nullcontext

    @property
    def coarsest(self) -> torch.dtype:
        """The dtype whose rounding is the largest."""
        return self.weights if self.autocast is None else coarser(self.weights, self.autocast)

    @property
    def is_coarse(self) -> bool:
        """Whether it rounds as half precision does, or more."""
        return torch.finfo(self.coarsest).eps > torch.finfo(torch.float32).eps

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The context in which the model computes so."""
        with self.library():
            if self.autocast is None:
                yield
                return
            device = next(self.structure.model.parameters()).device.type
            with torch.autocast(device, self.autocast):
                yield


class Precisions:
    """The precisions met so far.

    Args:
        structure: of the pristine copy.
        autocast: tells what this thread's operations are cast to now.
        library: a context in which torch and the model's classes are as they were.
    """

    def __init__(
        self,
        structure: Structure,
        autocast: Callable[[], torch.dtype | None],
        library: Library = nullcontext,
    ) -> None:
        self._library = library
        self._autocast = autocast
        self._model = structure.model
        own = next(p for p in structure.model.parameters() if p.is_floating_point()).dtype
        self.given = Precision(structure, own, None, library)
        self._known: dict[tuple[torch.dtype, torch.dtype | None], Precision] = {
            (own, None): self.given
        }

    def now(self, weight: Tensor | None = None) -> Precision:
        """The precision of an operation that is about to use a weight.

        Args:
            weight: as the operation gets it; by default the model's own dtype counts.
        """
        cast = self._autocast()
        dtype = self.given.weights
        if cast is None and weight is not None and weight.dtype is not dtype:
            dtype = weight.dtype
        known = self._known.get((dtype, cast))
        if known is None:
            structure = self.given.structure
            if dtype is not self.given.weights:
                structure = structure.on(pristine_copy_in(self._model, dtype))
            known = self._known[(dtype, cast)] = Precision(structure, dtype, cast, self._library)
        return known


def coarser(one: torch.dtype, other: torch.dtype) -> torch.dtype:
    """Of two floating-point dtypes the one with the larger rounding."""
    return max(one, other, key=lambda dtype: torch.finfo(dtype).eps)


class Autocast(threading.local):
    """What operations of this thread are cast to, which cannot be asked below autograd."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.dtype = _autocast_of(device)

    def __call__(self) -> torch.dtype | None:
        """The dtype, None without autocast."""
        return self.dtype

    @contextmanager
    def followed(self, ignoring: Callable[[], bool]) -> Iterator[None]:
        """Follow every change of it.

        Args:
            ignoring: whether this thread is at a replay, whose autocast is nobody else's.
        """
        functions = {name: getattr(torch, name) for name in _SETTERS}

        def watched(function: Callable[..., Any]) -> Callable[..., Any]:
            def setting(*args: Any) -> Any:
                result = function(*args)
                if ignoring():
                    return result
                self.dtype = _autocast_of(self.device)
                return result

            return setting

        for name, function in functions.items():
            setattr(torch, name, watched(function))
        try:
            yield
        finally:
            for name, function in functions.items():
                setattr(torch, name, function)


def _autocast_of(device: str) -> torch.dtype | None:
    """What operations on a kind of device are cast to, None without autocast there."""
    available = torch.amp.is_autocast_available(device)
    on = available and torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else None


_SETTERS = ("set_autocast_enabled", "set_autocast_dtype")
