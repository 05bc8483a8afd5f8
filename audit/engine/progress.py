"""How progress is told, and progress that is not shown."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told the phase, the steps done, and the steps in all; 0 of 0 for a stage that counts none."""
STARTING = "starting"
"""The stage that is told before anything is loaded."""


def silent(phase: str, done: int, total: int) -> None:
    """Show nothing."""
    del phase, done, total
