"""Who is told when an explainer is called, and whether the process is the explainer's own.

The supervisor of a worker process wants to know which call hangs, and what runs when the process
dies; the record of sources wants to know which files an explainer reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Observer = Callable[[str, int], None]
"""Told the explainer's name and the number of pairs; an empty name when the call has ended."""

_observers: list[Observer] = []


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Tell an observer of every call of an explainer in this process."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def calling(explainer: str, pairs: int) -> Iterator[None]:
    """Surrounds a call of an explainer."""
    for observer in _observers:
        observer(explainer, pairs)
    try:
        yield
    finally:
        for observer in _observers:
            observer("", 0)


def alone() -> bool:
    """Whether this process belongs to the explainer, so that nobody else interrupts it."""
    return bool(_observers)
