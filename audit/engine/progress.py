"""Progress that is not shown."""

from __future__ import annotations


def silent(phase: str, done: int, total: int) -> None:
    """Show nothing."""
    del phase, done, total
