"""What can be wrong with the model under audit."""

from __future__ import annotations


class ModelError(ValueError):
    """The model cannot be loaded; the message says what was expected, found, and what to do."""
