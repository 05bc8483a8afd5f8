"""Runs work that calls explainers in a process of its own, and says how that process ended.

The supervisor holds the result, the exit code and the files that people read; the worker only hands
over one JSON document. So an explainer that exits, crashes, hangs, leaks or closes streams ends in
a message that names what was running, never in an exit code of its own choosing.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from audit.engine.progress import STARTING
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import (
    UNREAD,
    Job,
    UnsupervisableError,
    Worker,
    start_worker,
    unsupervisable,
)
from audit.errors import USAGE, IncompleteError, ReportedError, ReportedUsageError

_POLL = 0.1  # seconds between looks at the worker
_LOOKS_A_MEASUREMENT = 5  # walking the table of processes costs more than a look
_GRACE = 3.0  # seconds that a worker has to end by itself, once asked
_SHARE_OF_MEMORY = 0.9
MOST_OUTPUT = 1_000_000
"""Characters of an explainer's own output that are passed on; the rest is counted."""


@dataclass(frozen=True)
class Limits:
    """What a worker may take.

    Attributes:
        timeout: seconds that one call of an explainer may take.
        memory: bytes of memory that the worker and its children may hold together; None for nine
            tenths of what is available when it starts.
    """

    timeout: float
    memory: int | None = None


class WorkerEndedError(IncompleteError):
    """The worker ended without a result; the message says how, and what was running.

    Attributes:
        doing: what was running.
        where: the innermost line of Python that was running, where the crash handler saw one.
        left: documents that the worker had left for the case, by name.
    """

    def __init__(
        self, message: str, doing: str, where: str = "", left: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.doing = doing
        self.where = where
        self.left = dict(left or {})


def supervised(job: Job, limits: Limits, tell: Callable[[str, int, int], None]) -> Any:
    """Run a job in a worker process.

    Args:
        job: what to run.
        limits: of time and memory.
        tell: told the progress: phase, steps done, steps in all.

    Returns:
        What the job returned, as JSON holds it.

    Raises:
        ReportedError: the job raised; the message and exit code are the worker's.
        WorkerEndedError: it ended in another way, or had to be ended.
        UnsupervisableError: the live objects cannot be given to another process.
        KeyboardInterrupt: the user interrupted; the worker has been ended.
    """
    with tempfile.TemporaryDirectory(prefix="audit-", ignore_cleanup_errors=True) as name:
        handoff = Path(name)
        board = StatusBoard(handoff / "status", create=True)
        worker = start_worker(job, handoff)
        passing = _pass_on(worker)
        try:
            with _terminated_as_interrupted():
                cause = _watch(worker, board, limits, tell)
        finally:
            _end(worker)
            passing.join(timeout=1)
        return _outcome(worker, handoff, board, cause)


def _watch(
    worker: Worker, board: StatusBoard, limits: Limits, tell: Callable[[str, int, int], None]
) -> str:
    """Wait until the worker ends; why it had to be ended, or nothing."""
    memory = limits.memory or int(_SHARE_OF_MEMORY * psutil.virtual_memory().available)
    tell(STARTING, 0, 0)
    told: set[tuple[str, int, int]] = set()
    for look in itertools.count():
        if worker.poll() is not None:
            return ""
        time.sleep(_POLL)
        statuses = board.all_statuses()
        steps = dict.fromkeys(step for status in statuses for step in status.steps)
        for step in steps:
            if step not in told:
                tell(*step)
        told = set(steps)
        if any(one.calls_for(limits.timeout) for one in statuses):
            return (
                f"a call of an explainer took longer than {limits.timeout:g} s; give --timeout "
                "SECONDS if it needs longer"
            )
        held = 0 if look % _LOOKS_A_MEASUREMENT else memory_held(worker.pid, above=memory)
        if held > memory:
            return (
                f"its process and its children hold {held / 2**30:.1f} GiB of memory, more than "
                f"{memory / 2**30:.1f} GiB; give --memory SIZE if it needs more, or a smaller "
                "sample if it leaks"
            )
    return ""  # not reached: the count has no end


def memory_held(pid: int, above: int = 0) -> int:
    """Bytes of resident memory of a process and of its children alone; 0 where it has ended.

    What forks share with the process that they come from counts once. To tell what is shared is
    slow, as every page is looked at, so that it is left out, and the answer is 0, where all
    together hold no more than ``above`` even if nothing were.

    Args:
        pid: of the process.
        above: how much memory is of no interest, in bytes.
    """
    held = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        held = process.memory_info().rss
        children = process.children(recursive=True)
        if held + sum(_told(one, lambda one: one.memory_info().rss) for one in children) <= above:
            return 0
        held += sum(_told(one, lambda one: one.memory_full_info().uss) for one in children)
    return held


def _told(process: psutil.Process, ask: Callable[[psutil.Process], int]) -> int:
    """What a process answers; 0 where it has ended."""
    with contextlib.suppress(psutil.Error):
        return ask(process)
    return 0


def _end(worker: Worker) -> None:
    """End the worker and every process that it left behind."""
    if worker.poll() is None:
        worker.signal_group(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while worker.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL / 2)
    worker.signal_group(signal.SIGKILL)
    while worker.poll() is None:
        time.sleep(_POLL / 2)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends an audit as Ctrl-C does: the worker first, then a message and an exit code."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _pass_on(worker: Worker) -> threading.Thread:
    """Hand what the explainer prints on to standard error, up to `MOST_OUTPUT` characters."""

    def read() -> None:
        passed = 0
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(worker.output, 65_536):
                if passed < MOST_OUTPUT:
                    text = chunk[: MOST_OUTPUT - passed].decode(errors="replace")
                    with contextlib.suppress(OSError, ValueError):  # ours may be closed or full
                        sys.stderr.write(text)
                        sys.stderr.flush()
                passed += len(chunk)
        os.close(worker.output)
        if passed > MOST_OUTPUT:
            with contextlib.suppress(OSError, ValueError):
                rest = passed - MOST_OUTPUT
                sys.stderr.write(f"\n[{rest:,} more characters of the explainer's output]\n")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _outcome(worker: Worker, handoff: Path, board: StatusBoard, cause: str) -> Any:
    """The job's result, or the error that says why there is none."""
    unread = handoff / UNREAD
    if unread.is_file():
        raise UnsupervisableError(unsupervisable(json.loads(unread.read_text("utf-8"))["cause"]))
    if not cause:
        with contextlib.suppress(OSError, ValueError):
            return json.loads((handoff / "result.json").read_text(encoding="utf-8"))
        error: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            error = json.loads((handoff / "error.json").read_text(encoding="utf-8"))
        if error:
            told = ReportedUsageError if error["code"] == USAGE else ReportedError
            raise told(error["message"], error["code"], error["traceback"], error["kind"])
    where, status = last_line(handoff), board.read()
    ended = cause or how_it_ended(worker.poll() or 0)
    at = f", at {where}" if where else ""
    message = (
        f"the audit could not be completed: while {status.doing}{at}, {ended}. Finished evidence "
        "is kept; the same command goes on from there"
    )
    raise WorkerEndedError(message, f"while {status.doing}{at}, {ended}", where, board.left())


def how_it_ended(code: int) -> str:
    """The end of a process in words."""
    if code >= 0:
        return (
            f"the process ended by itself with exit code {code} (os._exit, or a library that "
            "exits); an explainer returns maps or raises an error"
        )
    name = signal.Signals(-code).name
    why = {
        "SIGKILL": "killed: out of memory, or by hand",
        "SIGSEGV": "a crash in compiled code",
        "SIGABRT": "an abort in compiled code",
    }.get(name, "killed by a signal")
    return f"the process was ended by {name} ({why})"


def last_line(handoff: Path) -> str:
    """``FILE:LINE in FUNCTION`` where Python was when it crashed; empty where nobody knows."""
    with contextlib.suppress(OSError, ValueError):
        for line in (handoff / "crash.txt").read_text(errors="replace").splitlines():
            if line.strip().startswith('File "'):
                file, _, rest = line.strip().removeprefix('File "').partition('", line ')
                number, _, function = rest.partition(" in ")
                return f"{file}:{number} in {function}"
    return ""
