"""Every thread of an explainer is traced, where a dispatch mode of torch sees only its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import thread as pool
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_STARTS: tuple[type, ...] = (threading.Thread, pool._WorkItem)  # noqa: SLF001 - old pools too


class _Relay(TorchDispatchMode):
    """A mode of its own thread that hands every operation on."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._handler = handler

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self._handler(func, types, args, kwargs)


@contextmanager
def in_every_thread(handler: Callable[..., Any]) -> Iterator[None]:
    """Hand operations of other threads to a handler, from threads and pool tasks started inside.

    Args:
        handler: called as a mode's ``__torch_dispatch__``; must be safe to call from any thread.
    """
    runs = [(owner, vars(owner)["run"]) for owner in _STARTS]

    def traced(run: Callable[..., None]) -> Callable[..., None]:
        def traced_run(self: Any, *args: Any) -> None:
            with _Relay(handler):
                run(self, *args)

        return traced_run

    for owner, run in runs:
        owner.run = traced(run)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for owner, run in runs:
            owner.run = run  # type: ignore[attr-defined]
