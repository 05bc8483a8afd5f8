"""Messages that offer the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_of(kind: str, name: str, known: Iterable[str]) -> str:
    """``unknown KIND 'NAME'``, the most similar known name, and all known names."""
    every = list(known)
    close = difflib.get_close_matches(name, every, n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else ""
    return f"unknown {kind} '{name}'{hint}; known: {', '.join(every)}"
