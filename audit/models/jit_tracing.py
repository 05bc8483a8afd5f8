"""`torch.jit.trace` beside dispatch modes.

While torch records a graph, a dispatch mode makes it lose the tensors that need gradients, and the
recording fails. What is recorded is seen when the graph runs; there numbers stand for tensors
without dimensions, which not every operation takes back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.jit import _trace
from torch.utils._python_dispatch import _disable_current_modes

_RECORDING = ("_trace_impl", "trace_module")


@contextmanager
def graphs_recorded_without_modes() -> Iterator[None]:
    """Set dispatch modes aside wherever torch records a graph."""
    before = {name: getattr(_trace, name) for name in _RECORDING}

    def aside(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def recording(*args: Any, **kwargs: Any) -> Any:
            with _disable_current_modes():
                return function(*args, **kwargs)

        return recording

    for name, function in before.items():
        setattr(_trace, name, aside(function))
    torch.jit.trace_module = _trace.trace_module
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(_trace, name, function)
        torch.jit.trace_module = before["trace_module"]


def called(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call an operation with what a dispatch mode was given for it."""
    if not any(isinstance(argument, Tensor) for argument in args):
        args = tuple(
            torch.tensor(argument) if _stands_for_tensor(argument, declared) else argument
            for argument, declared in zip(args, operation._schema.arguments, strict=False)  # noqa: SLF001
        )
    return operation(*args, **kwargs)


def _stands_for_tensor(argument: Any, declared: Any) -> bool:
    return isinstance(argument, (bool, int, float)) and str(declared.type) == "Tensor"
