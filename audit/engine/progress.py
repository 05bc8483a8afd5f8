"""Progress bars with rate and time left; silent where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from audit.evidence.context import Progress as Told


def silent(phase: str, done: int, total: int) -> None:
    """Tell nobody."""
    del phase, done, total


class RateColumn(ProgressColumn):
    """Steps per second, once that is known."""

    def render(self, task: Task) -> Text:
        """The rate, or nothing."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", justify="right")


@contextmanager
def progress_bars() -> Iterator[Told]:
    """One bar per phase on standard error, if it is a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def tell(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            bars.update(tasks[phase], completed=done, total=total)

        yield tell
