"""Values behind the wrappers of `torch.func`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._C import _functorch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._pytree import tree_map_only


def plain(t: Tensor) -> Tensor:
    """The values of a tensor, detached; those of a batch of `vmap` with the batch first."""
    while True:
        if _functorch.is_batchedtensor(t):
            axis = _functorch.maybe_get_bdim(t)
            t = _functorch.get_unwrapped(t).movedim(axis, 0)
        elif _functorch.is_functorch_wrapped_tensor(t):
            t = _functorch.get_unwrapped(t)
        else:
            return t.detach()


def is_transformed(t: Tensor) -> bool:
    """Whether a tensor belongs to a running transform of `torch.func`."""
    return bool(_functorch.is_functorch_wrapped_tensor(t))


def beneath(t: Tensor) -> Tensor:
    """The tensor itself that operations below the transforms of `torch.func` work on."""
    while _functorch.is_functorch_wrapped_tensor(t):
        t = _functorch.get_unwrapped(t)
    return t


def plain_tree(arguments: Any) -> Any:
    """Nested arguments with every tensor made plain."""
    return tree_map_only(Tensor, plain, arguments)


_USUAL_KEYS = (
    torch._C._dispatch_tls_local_include_set(),  # noqa: SLF001
    torch._C._dispatch_tls_local_exclude_set(),  # noqa: SLF001
)
"""What torch's dispatcher does for code at the top level."""


@contextmanager
def outside_transforms() -> Iterator[None]:
    """Compute on plain values as code at the top level does, unseen by what runs around it.

    A transform of `torch.func`, `torch.jit.trace` and an operation's own handling below autograd
    are set aside for this thread; autocast is off.
    """
    with torch._C._ForceDispatchKeyGuard(*_USUAL_KEYS):  # noqa: SLF001
        tracing = torch._C._get_tracing_state()  # noqa: SLF001
        if tracing is not None:
            torch._C._set_tracing_state(None)  # type: ignore[attr-defined]  # noqa: SLF001
        try:
            if _functorch.peek_interpreter_stack() is None:
                yield
            else:
                with temporarily_clear_interpreter_stack():
                    yield
        finally:
            if tracing is not None:
                torch._C._set_tracing_state(tracing)  # type: ignore[attr-defined]  # noqa: SLF001
