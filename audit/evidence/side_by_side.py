"""Runs tasks side by side, each in a fork of this process.

A task depends on nothing but the context and its name, and what it gives is kept on disk. So a fork
measures it and ends, and whoever asks for the task finds it. A task whose fork fails or is killed
is measured here when it is asked for, and raises there what it raises.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
Task = Callable[[], object]
WATCHER = "audit: ends with the process that started this one"
"""The name of the audit's own thread."""
_PORTIONS = 4  # of the tasks that each worker of a cluster gets, one after the other
_IN_LINE = 1_000  # numbers of four bytes that every pipe holds, also one of a single page
_BYTES = 4
_PATIENCE = 0.5  # s between two looks at how many forks there may be
_FIRST, _TAKEN, _DONE = b"f", b"t", b"d"  # what a fork says


@runtime_checkable
class Executor(Protocol):
    """What measures several tasks at a time, elsewhere than in this process."""

    def takes(self, tasks: int, /) -> bool:
        """Whether it can take so many tasks now."""

    def run(self, folder: Path, tasks: Mapping[str, Task], told: Callable[[int], None], /) -> None:
        """Measure tasks, as far as that works, and wait for all.

        Args:
            folder: of the tasks of this kind of evidence, where what they give is kept.
            tasks: by name; each keeps what it gives.
            told: how many have ended.
        """


def nothing(_: int) -> None:
    """Nobody is told."""


def none() -> int:
    """None is at work elsewhere."""
    return 0


@dataclass(frozen=True)
class Forks:
    """So many forks at a time.

    Attributes:
        count: at least 1; with 1 everything is measured in this process.
        begins: called in a fork before its task, with the process it was forked from.
        ended: called here when a fork has ended, with its process.
        elsewhere: how many of them are at work on something else now.
    """

    count: int = 1
    begins: Callable[[int], None] = nothing
    ended: Callable[[int], None] = nothing
    elsewhere: Callable[[], int] = none

    @property
    def free(self) -> int:
        """How many there may be now, 1 at least."""
        return max(1, self.count - self.elsewhere())

    def takes(self, tasks: int) -> bool:
        """Whether there are several tasks, and may be several forks."""
        return tasks > 1 and self.may_run()

    def may_run(self) -> bool:
        """Whether there is more than one, and nothing here that does not survive a fork.

        Threads do not: a fork that waits for one of an explainer's would wait forever.
        """
        main, others = threading.main_thread(), threading.enumerate()
        return self.free > 1 and all(t is main or t.name == WATCHER for t in others)

    def run(self, folder: Path, tasks: Mapping[str, Task], told: Callable[[int], None]) -> None:
        """Run tasks, and wait for all; see `Executor`.

        Where as many forks have failed as there may be, or there is no room for another, no more
        are begun: what raises in each, or kills it, is left to this process.
        """
        del folder  # forks keep what they measure as this process would
        context, parent = get_context("fork"), os.getpid()
        running, failed = dict[int, ForkProcess](), 0
        with contextlib.closing(Line([*tasks.values()])) as line:
            try:
                while running or (failed < self.count and line.calls_for_another(len(running))):
                    places = self.free if failed < self.count else 0
                    while len(running) < places and line.calls_for_another(len(running)):
                        process = context.Process(target=self._work, args=(line, parent))
                        try:
                            process.start()
                        except OSError:
                            failed = self.count
                            break
                        line.started += 1
                        running[process.sentinel] = process
                    for sentinel in line.wait([*running]):
                        failed += not self._leave(running.pop(sentinel))
                    told(line.done)
            finally:
                for process in running.values():
                    process.kill()
                    self._leave(process)

    def _leave(self, process: ForkProcess) -> bool:
        """Whether a fork that ends has done what it took."""
        process.join()
        self.ended(process.pid or 0)
        well = process.exitcode == 0
        process.close()
        return well

    def _work(self, line: Line, parent: int) -> None:
        """What a fork does; no exit handler of the process that it was forked from runs here."""
        import torch  # not before: who watches over a process needs none

        code = 1
        try:
            self.begins(parent)
            torch.set_num_threads(1)
            line.work()
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


class Line:
    """Tasks that stand in line: a fork that is free takes the next one.

    So there are no more forks than may run at a time, and none waits while another has tasks left.
    A pipe holds the numbers of the tasks, each of which one fork reads; another tells this process
    of them.

    Attributes:
        started: forks.
        done: tasks that were finished.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        size = 1 + len(tasks) // _IN_LINE
        self._portions = [tasks[i : i + size] for i in range(0, len(tasks), size)]
        self._next, write = os.pipe()
        os.write(write, b"".join(n.to_bytes(_BYTES) for n in range(len(self._portions))))
        os.close(write)  # behind the last number there is the end
        self._heard, self._says = os.pipe()
        os.set_blocking(self._heard, False)
        self.started = self.done = 0
        self._taken = self._begun = 0

    def close(self) -> None:
        """Close its pipes."""
        for end in (self._next, self._heard, self._says):
            os.close(end)

    def calls_for_another(self, running: int) -> bool:
        """Whether there are tasks for one more fork; not where one ended before it took any.

        Args:
            running: forks that are there.
        """
        idle = self.started - self._begun
        return idle <= running and len(self._portions) - self._taken > idle

    def wait(self, sentinels: list[int]) -> list[int]:
        """Wait a little, and note what forks say; the sentinels of those that have ended."""
        found = connection.wait([*sentinels, self._heard], timeout=_PATIENCE)
        with contextlib.suppress(BlockingIOError):
            while said := os.read(self._heard, 2**12):
                self._begun += said.count(_FIRST)
                self._taken += said.count(_FIRST) + said.count(_TAKEN)
                self.done += said.count(_DONE)
        return [one for one in sentinels if one in found]

    def work(self) -> None:
        """What a fork does: take tasks while there are any."""
        what = _FIRST
        while number := os.read(self._next, _BYTES):
            os.write(self._says, what)
            what = _TAKEN
            for task in self._portions[int.from_bytes(number)]:
                task()
                os.write(self._says, _DONE)


def portions(tasks: Sequence[T], workers: int) -> list[Sequence[T]]:
    """Tasks in portions of equal size, some for each worker, the first ones last."""
    size = max(1, len(tasks) // (_PORTIONS * workers))
    return [tasks[i : i + size] for i in reversed(range(0, len(tasks), size))]
