"""Runs tasks side by side, each in a fork of this process.

A task depends on nothing but the context and its name, and what it gives is kept on disk. So a fork
measures it and ends, and whoever asks for the task finds it. A task whose fork fails or is killed
is measured here when it is asked for, and raises there what it raises.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import ForkProcess

import torch

Task = Callable[[], object]


def nothing(_: int) -> None:
    """Nobody is told."""


@dataclass(frozen=True)
class Forks:
    """So many forks at a time.

    Attributes:
        count: at least 1; with 1 everything is measured in this process.
        begins: called in a fork before its task, with the process it was forked from.
        ended: called here when a fork has ended, with its process.
    """

    count: int = 1
    begins: Callable[[int], None] = nothing
    ended: Callable[[int], None] = nothing

    def run(self, tasks: Sequence[Task], told: Callable[[int], None]) -> None:
        """Run tasks, and wait for all.

        Args:
            tasks: each keeps what it gives.
            told: how many have ended.
        """
        context, waiting, parent = get_context("fork"), list(reversed(tasks)), os.getpid()
        running: dict[int, ForkProcess] = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.count:
                    process = context.Process(target=self._work, args=(waiting.pop(), parent))
                    process.start()
                    running[process.sentinel] = process
                for sentinel in connection.wait(list(running)):
                    self._leave(running.pop(int(str(sentinel))))
                told(len(tasks) - len(waiting) - len(running))
        finally:
            for process in running.values():
                process.kill()
                self._leave(process)

    def _leave(self, process: ForkProcess) -> None:
        process.join()
        self.ended(process.pid or 0)
        process.close()

    def _work(self, task: Task, parent: int) -> None:
        """What a fork does; no exit handler of the process that it was forked from runs here."""
        code = 1
        try:
            self.begins(parent)
            torch.set_num_threads(1)
            task()
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
