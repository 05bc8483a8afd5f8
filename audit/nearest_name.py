"""Messages that offer the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_of(kind: str, name: str, known: Iterable[str]) -> str:
    """``unknown KIND 'NAME'``, the most similar known name, and all known names."""
    every = list(known)
    return f"unknown {kind} '{name}'{hint(name, every)}; known: {', '.join(every)}"


def hint(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`` (did you mean 'NEAREST'?)``, or nothing where no known name is similar."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" (did you mean '{close[0]}'?)" if close else ""
