"""What can be wrong with the model under audit."""

from __future__ import annotations

from audit.errors import UnknownNamesError


class ModelError(ValueError):
    """The model cannot be loaded; the message says what was expected, found, and what to do."""


class UnknownClassError(ModelError, UnknownNamesError):
    """The model has no classes of some names."""
