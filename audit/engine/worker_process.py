"""Starting a worker: a fresh process for names and files, a forked one for live objects."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar, Protocol, runtime_checkable

UNREAD = "unread.json"
"""What a worker leaves where it cannot make the live objects again that were pickled for it."""

_BOOT = (
    "import json, sys; job = json.load(open(sys.argv[1] + '/job.json', encoding='utf-8')); "
    "sys.path[:] = job['sys_path']; from audit.engine.worker import main; main(sys.argv[1])"
)


@dataclass(frozen=True)
class Job:
    """What a worker runs.

    Attributes:
        target: ``module:function`` of this package; it receives the arguments and the progress.
        arguments: keyword arguments, as JSON holds them.
        live: keyword arguments that only exist in this process, such as a function of a notebook.
    """

    target: str
    arguments: Mapping[str, Any]
    live: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Worker(Protocol):
    """A process that runs a job."""

    pid: int
    output: int  # file descriptor of what it prints; whoever reads it closes it

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to it and to the processes that it has started."""


class UnsupervisableError(RuntimeError):
    """Live objects can neither be forked here nor pickled."""


def start_worker(job: Job, handoff: Path) -> Worker:
    """Start a process for a job.

    Args:
        job: what to run.
        handoff: a private folder for job, result, error and crash report.

    Raises:
        UnsupervisableError: see `can_fork`; and the live objects cannot be pickled either.
    """
    document = {
        "target": job.target,
        "arguments": dict(job.arguments),
        "sys_path": sys.path,
        "parent": os.getpid(),
    }
    (handoff / "job.json").write_text(json.dumps(document), encoding="utf-8")
    if job.live and can_fork():
        return _forked(job, handoff)
    if job.live:
        (handoff / "live.pickle").write_bytes(_pickled(job.live))
    return _spawned(handoff)


def can_fork() -> bool:
    """Whether a fork of this process is safe: Linux, one thread, and no GPU in use.

    A thread pool of torch or BLAS does not survive a fork, nor does CUDA.
    """
    if sys.platform != "linux" or len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        return False
    torch = sys.modules.get("torch")
    return torch is None or not torch.cuda.is_initialized()


def _pickled(live: Mapping[str, Any]) -> bytes:
    try:
        return _dumped(dict(live))
    except Exception as error:
        raise UnsupervisableError(unsupervisable(f"{type(error).__name__}: {error}")) from error


def _dumped(live: dict[str, Any]) -> bytes:
    """By cloudpickle, which by itself forgets the file of code that it pickles by value."""
    import cloudpickle

    usual = cloudpickle.Pickler.dispatch_table

    def with_its_file(code: CodeType) -> tuple[Any, ...]:
        return with_file, (code.co_filename, *usual[CodeType](code))

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
        dispatch_table: ClassVar = ChainMap({CodeType: with_its_file}, usual)

    buffer = io.BytesIO()
    Pickler(buffer).dump(live)
    return buffer.getvalue()


def with_file(file: str, make: Callable[..., CodeType], arguments: tuple[Any, ...]) -> CodeType:
    """Code as it was before it was pickled: reports name its lines, and the trace its file."""
    return make(*arguments).replace(co_filename=file)


def unsupervisable(cause: str) -> str:
    """Why objects cannot be given to another process, and what helps."""
    return (
        f"expected objects that another process can be given, got {cause}; call the audit before "
        "torch has computed anything (then the process can be forked), or give the explainer as "
        "FILE.py:FUNCTION"
    )


class _Spawned:
    def __init__(self, handoff: Path) -> None:
        self.output, writing = os.pipe()
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-c", _BOOT, str(handoff)],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
        os.close(writing)
        self.pid = self.process.pid

    def poll(self) -> int | None:
        return self.process.poll()

    def signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _spawned(handoff: Path) -> Worker:
    return _Spawned(handoff)


class _Forked:
    def __init__(self, run: Callable[[], None]) -> None:
        self.output, writing = os.pipe()
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            try:
                run()
            finally:
                os._exit(1)  # a worker ends itself; coming here is an error of ours
        os.close(writing)

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _forked(job: Job, handoff: Path) -> Worker:
    def run() -> None:
        from audit.engine.worker import work

        work(handoff, job.target, {**job.arguments, **job.live})

    return _Forked(run)
