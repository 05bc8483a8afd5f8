"""When an audit has to end, so that nothing new is measured after it."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic


class OutOfTimeError(RuntimeError):
    """The time that an audit may take is over, and something is not measured yet."""


@dataclass(frozen=True)
class Deadline:
    """When the audit has to end.

    Attributes:
        seconds: that were given.
        at: on the system's monotonic clock.
    """

    seconds: float
    at: float

    def check(self) -> None:
        """Raise where it is over.

        Raises:
            OutOfTimeError: says what was given.
        """
        if monotonic() > self.at:
            raise OutOfTimeError(
                f"the {self.seconds:g} s that --max-time gives were over before it was measured; "
                "what was measured is kept, and the same command goes on from there"
            )


def deadline_of(seconds: float | None, since: float) -> Deadline | None:
    """So many seconds after a time of the system's monotonic clock; None for no limit."""
    return None if seconds is None else Deadline(seconds, since + seconds)
