"""Counts passes by their multiplications: the same on every machine, of any model and explainer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from audit.models.jit_tracing import called, graphs_recorded_without_modes
from audit.trace.threads import in_every_thread

_NO_PASS = -1  # the autograd engine's own number of the backward pass, where there is none


def multiplications(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Those of a matrix product or convolution, 0 of other operations."""
    counter = flop_registry.get(func.overloadpacket)
    return 0 if counter is None else int(counter(*args, **kwargs, out_val=out))


class Passes(TorchDispatchMode):
    """Counts multiplications while it is active, see `passes_counted`.

    Attributes:
        forward: those outside of backward passes.
        backward: those in them.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.forward = 0
        self.backward = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Count an operation's."""
        del types
        kwargs = kwargs or {}
        out = called(func, args, kwargs)
        if count := multiplications(func, args, kwargs, out):
            if torch._C._current_graph_task_id() == _NO_PASS:  # noqa: SLF001 - torch's only way
                self.forward += count
            else:
                self.backward += count
        return out


@contextmanager
def passes_counted() -> Iterator[Passes]:
    """Count what is computed within, in every thread."""
    counter = Passes()
    with graphs_recorded_without_modes(), in_every_thread(counter.__torch_dispatch__), counter:
        yield counter
