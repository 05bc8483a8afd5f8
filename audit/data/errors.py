"""What can be wrong with the data."""

from __future__ import annotations


class DataError(ValueError):
    """The data cannot be read; the message says what was expected, found, and what to do."""


class NoGridError(DataError):
    """There are too few pictures of distinct classes for a grid.

    Attributes:
        found: how many there are, in words.
    """

    def __init__(self, message: str, found: str = "") -> None:
        super().__init__(message)
        self.found = found
