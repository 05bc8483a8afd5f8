"""Errors that end a command otherwise than wrong usage does."""

from __future__ import annotations


class IncompleteError(OSError):
    """The audit could not be completed, through no fault of its settings: exit code 3."""
