"""Runs tasks side by side, each in a fork of this process.

A task depends on nothing but the context and its name, and what it gives is kept on disk. So a fork
measures it and ends, and whoever asks for the task finds it. A task whose fork fails or is killed
is measured here when it is asked for, and raises there what it raises.
"""

from __future__ import annotations

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
_PORTIONS = 4  # of the tasks that each process gets, one after the other: a fork costs time as well


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
        """Run tasks, and wait for all; see `Executor`."""
        del folder  # forks keep what they measure as this process would
        context, parent, done = get_context("fork"), os.getpid(), 0
        waiting = portions([*tasks.values()], self.count)
        running: dict[int, tuple[ForkProcess, int]] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.free:
                    portion = waiting.pop()
                    process = context.Process(target=self._work, args=(portion, parent))
                    process.start()
                    running[process.sentinel] = process, len(portion)
                for sentinel in connection.wait(list(running)):
                    process, ended = running.pop(int(str(sentinel)))
                    self._leave(process)
                    done += ended
                told(done)
        finally:
            for process, _ in running.values():
                process.kill()
                self._leave(process)

    def _leave(self, process: ForkProcess) -> None:
        process.join()
        self.ended(process.pid or 0)
        process.close()

    def _work(self, tasks: Sequence[Task], parent: int) -> None:
        """What a fork does; no exit handler of the process that it was forked from runs here."""
        import torch  # not before: who watches over a process needs none

        code = 1
        try:
            self.begins(parent)
            torch.set_num_threads(1)
            for task in tasks:
                task()
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def portions(tasks: Sequence[T], workers: int) -> list[Sequence[T]]:
    """Tasks in portions of equal size, some for each worker, the first ones last."""
    size = max(1, len(tasks) // (_PORTIONS * workers))
    return [tasks[i : i + size] for i in reversed(range(0, len(tasks), size))]
