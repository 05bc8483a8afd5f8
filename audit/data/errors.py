"""What can be wrong with the data."""

from __future__ import annotations


class DataError(ValueError):
    """The data cannot be read; the message says what was expected, found, and what to do."""
