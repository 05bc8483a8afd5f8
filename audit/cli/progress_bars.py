"""Progress bars with rate and time left; silent without a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from audit.engine.progress import Progress, silent
from audit.result.wording import visible

_STAGE = ""
"""The bar that names the stage; it counts nothing."""


class RateColumn(ProgressColumn):
    """Steps per second, once that is known."""

    def render(self, task: Task) -> Text:
        """The rate, or nothing."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "", justify="right")


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """One bar per phase and one for the stage, on standard error, if it is a terminal."""
    if not sys.stderr.isatty():
        yield silent
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def tell(phase: str, done: int, total: int) -> None:
            of = phase if total else _STAGE
            if of not in tasks:
                tasks[of] = bars.add_task(visible(phase), total=total or None)
            if total:
                bars.update(tasks[of], completed=done, total=total)
            else:
                bars.update(tasks[of], description=visible(phase))

        yield tell
