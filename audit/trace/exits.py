"""Where values leave torch: methods that hand them to numpy, plain Python or another library.

An exit leaves no operation below autograd, so that the methods themselves are wrapped; the wrappers
only look.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

EXITS = (
    "numpy",
    "__array__",
    "tolist",
    "item",
    "__float__",
    "__dlpack__",
)


class _Within(threading.local):
    """Whether an exit of this thread is within another one."""

    entered = False


@contextmanager
def every_exit(leaves: Callable[[Tensor], None]) -> Iterator[None]:
    """Tell of every tensor whose values leave torch.

    Args:
        leaves: called with the tensor before they do.
    """
    within = _Within()

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def leaving(self: Tensor, *args: Any, **kwargs: Any) -> Any:
            if within.entered:
                return method(self, *args, **kwargs)
            within.entered = True
            try:
                leaves(self)
                return method(self, *args, **kwargs)
            finally:
                within.entered = False

        return leaving

    own = vars(torch.Tensor)
    before = {name: own.get(name) for name in EXITS}
    for name in EXITS:
        setattr(torch.Tensor, name, watched(getattr(torch.Tensor, name)))
    try:
        yield
    finally:
        for name, method in before.items():
            if method is None:
                delattr(torch.Tensor, name)
            else:
                setattr(torch.Tensor, name, method)
