"""Kinds of evidence: what was measured, as plain arrays, numbers and strings (no torch)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """All the evidence of an audit; a field is None where it was not gathered."""
