"""Standard streams that an explainer may close: they are open again when its call has ended.

A descriptor that is free goes to the next file that is opened. So an explainer that closes
standard output twice would close some file of the audit the second time.
"""

from __future__ import annotations

import contextlib
import os
import sys

_OUT_OF_REACH = 200  # descriptors below are what careless code closes by number


class StandardStreams:
    """Copies of the three standard descriptors, put back after every call of an explainer."""

    def __init__(self) -> None:
        self._kept = {number: _copy(number) for number in (0, 1, 2)}

    def after_call(self, explainer: str, _: int) -> None:
        """Put them back, once a call has ended.

        Args:
            explainer: that is called; empty when the call has ended.
        """
        if explainer:
            return
        for number, copy in self._kept.items():
            with contextlib.suppress(OSError):
                os.dup2(copy, number)


def _copy(number: int) -> int:
    if sys.platform == "win32":
        return os.dup(number)
    import fcntl

    return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_REACH)
