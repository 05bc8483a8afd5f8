"""Other processes that an explainer starts: what they compute is not seen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVENTS = frozenset(
    [
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "os.startfile",
        "subprocess.Popen",
        "socket.connect",
    ]
)
_told: list[Callable[[str], None]] = []
_installed: list[bool] = []


def _hear(event: str, _: object) -> None:
    if _told and event in _EVENTS:
        for tell in tuple(_told):
            tell(event)


@contextmanager
def every_process(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell of every process that is started, and of every connection to one.

    Python's audit hooks cannot be removed; the one that is installed does nothing outside of this
    context.

    Args:
        tell: called with the name of Python's audit event.
    """
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hear)
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)
