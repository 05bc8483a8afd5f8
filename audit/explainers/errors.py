"""What can be wrong with the explainer that was asked for."""

from __future__ import annotations

from audit.errors import IncompleteError


class ExplainerSpecError(ValueError):
    """The explainer cannot be loaded as specified; the message says what to do."""


class UnknownExplainerError(ExplainerSpecError):
    """No explainer has this name."""


class UnknownOptionError(ExplainerSpecError):
    """The explainer has no such option, or the option takes no such value."""


class ExplainerImportError(ExplainerSpecError):
    """The file or module cannot be imported, or holds no such function.

    Attributes:
        traceback: the original traceback as text, empty where nothing raised.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class NeedsHeadsError(ExplainerSpecError):
    """The explainer reads attention heads, and those of the model are not known, or not enough."""


class ExplainerFaultError(RuntimeError):
    """The explainer broke its contract; the message says what was expected, found, and where."""


class ExplainerRaisedError(ExplainerFaultError, IncompleteError):
    """The explainer raised on the first pairs; the message says what, and on which line."""


class ExplainerReturnError(ExplainerFaultError, ValueError):
    """What the explainer returned is no map per pair."""
