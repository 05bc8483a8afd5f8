"""How a command ends when something goes wrong: the message, and the exit code."""

from __future__ import annotations

import errno
from collections.abc import Iterable

USAGE, INCOMPLETE, INTERRUPTED = 2, 3, 130
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


class IncompleteError(OSError):
    """The audit could not be completed, through no fault of its settings: exit code 3."""


class UnknownNamesError(ValueError):
    """Some of several names mean nothing here.

    Attributes:
        names: those.
    """

    def __init__(self, message: str, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


class ReportedError(Exception):
    """What a worker process raised, as it reported it.

    Attributes:
        code: the exit code that it calls for.
        traceback: of an error that is no plain wrong usage; else empty.
        kind: name of its class.
    """

    def __init__(self, message: str, code: int, traceback: str = "", kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.traceback = traceback


class ReportedUsageError(ReportedError, ValueError):
    """The same of wrong usage, settings or input, which is a `ValueError` in any process."""


def ending(error: BaseException) -> tuple[str, int]:
    """The message and exit code of an error; never 1, which means violations."""
    if isinstance(error, KeyboardInterrupt):
        return str(error) or "interrupted", INTERRUPTED
    if isinstance(error, ReportedError):
        return str(error), error.code
    if isinstance(error, IncompleteError):
        return str(error), INCOMPLETE
    if isinstance(error, OSError):
        return _of_system(error)
    if is_usage(error):
        return str(error), USAGE
    return f"{type(error).__name__}: {error}", INCOMPLETE


def is_usage(error: BaseException) -> bool:
    """Whether the message alone tells the user what to do, without a traceback."""
    ours = type(error).__module__.partition(".")[0] in {"audit", "principles"}
    if isinstance(error, ReportedError):
        return not error.traceback
    return isinstance(error, (OSError, KeyboardInterrupt)) or (
        ours and isinstance(error, (ValueError, TypeError))
    )


def _of_system(error: OSError) -> tuple[str, int]:
    if error.errno not in _DISK:
        return str(error), USAGE
    place = f" at '{error.filename}'" if error.filename else ""
    advice = "finished evidence stays: free space, then the same command goes on from there"
    return f"{error.strerror}{place}; {advice}", INCOMPLETE
