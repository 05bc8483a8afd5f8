"""Measures some tasks of a kind of evidence, by name: what a worker on another machine does.

The gatherer itself runs, up to the tasks that are asked for; what it measures on the way lies
there, measured by whoever asks.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.evidence.context import Context
from audit.evidence.interim_looks import FIRST_LOOK, at_place
from audit.evidence.plan import gather_kind
from audit.evidence.side_by_side import Task
from audit.evidence.tasks import Tasks, task_file


class _DoneError(Exception):
    """What was asked for has been measured."""


@dataclass(frozen=True)
class _Chosen:
    """An executor that runs the tasks of these names, and then ends the gatherer."""

    names: frozenset[str]

    def takes(self, tasks: int) -> bool:
        return tasks > 0

    def run(self, folder: Path, tasks: Mapping[str, Task], told: Callable[[int], None]) -> None:
        del folder, told
        chosen = [task for name, task in tasks.items() if name in self.names]
        for task in chosen:
            task()
        if chosen:
            raise _DoneError


def measure_chosen(
    context: Context, folder: Path, place: str, kind: str, names: Sequence[str]
) -> dict[str, bytes]:
    """Measure tasks of a kind, and give the files that they are kept in, by name.

    Args:
        context: of the audit, with all pairs.
        folder: with the evidence by now, and with what is finished of this kind.
        place: see `audit.evidence.interim_looks.at_place`.
        kind: of evidence.
        names: of the tasks.
    """
    own, evidence = at_place(context, folder, place)
    tasks = Tasks(executor=_Chosen(frozenset(names))).of(folder / place, kind)
    with contextlib.suppress(_DoneError):
        gather_kind(kind, dataclasses.replace(own, tasks=tasks), evidence)
    wanted = {task_file(name) for name in names}
    if tasks.folder is None or not tasks.folder.is_dir():
        return {}
    return {file.name: file.read_bytes() for file in tasks.folder.iterdir() if file.stem in wanted}


def needed_files(folder: Path, place: str, tasks: Path) -> dict[str, bytes]:
    """What `measure_chosen` needs: evidence by now, and what is finished of a kind, by their paths.

    Args:
        folder: of the evidence.
        place: in it, as above.
        tasks: the folder of the kind's tasks.
    """
    places = {folder / FIRST_LOOK, folder / place} if place else {folder}
    found = [
        file
        for one in (*places, tasks)
        for ending in ("json", "npz")
        for file in one.glob(f"*.{ending}")
    ]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}
