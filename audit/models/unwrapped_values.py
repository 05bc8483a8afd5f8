"""Values behind the wrappers of `torch.func`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

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


def plain_tree(arguments: Any) -> Any:
    """Nested arguments with every tensor made plain."""
    return tree_map_only(Tensor, plain, arguments)


def outside_transforms() -> AbstractContextManager[object]:
    """A context in which calls on plain values are not seen by a running `torch.func` transform."""
    if _functorch.peek_interpreter_stack() is None:
        return nullcontext()
    return temporarily_clear_interpreter_stack()
