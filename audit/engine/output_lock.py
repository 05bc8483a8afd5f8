"""One audit at a time in an output folder, so that no evidence of two audits is mixed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_NAME = ".audit.lock"


class OutputInUseError(OSError):
    """Another audit writes to the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep an output folder for this process; the lock goes with the process, however it ends.

    Args:
        folder: exists.

    Raises:
        OutputInUseError: another process keeps it.
    """
    lock = FileLock(folder / _NAME)  # stays: who removes it lets two others in at once
    owner = folder / ".audit.owner"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = ""
        with contextlib.suppress(OSError, ValueError):
            who = f" (process {int(owner.read_text(encoding='ascii'))})"
        raise OutputInUseError(
            f"another audit{who} is writing to '{folder}'; wait until it has ended, or give "
            "another --out"
        ) from error
    try:
        owner.write_text(str(os.getpid()), encoding="ascii")
        yield
    finally:
        with contextlib.suppress(OSError):
            owner.unlink()
        with contextlib.suppress(OSError):
            lock.release()
