"""Finished tasks on disk: what an interrupted gatherer has measured is not measured again.

A gatherer splits into tasks, such as rungs, edits or batches of pairs. Each is kept as soon as it
is finished and forgotten once the whole kind is. What a task measures may depend on nothing but the
context and the name of the task, so that a resumed audit gives the same bytes: no generator that
other tasks have drawn from, no state of an earlier one.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from audit.evidence import store

T = TypeVar("T")
_FOLDER = "tasks"
_SLUG = 40


def nothing() -> None:
    """Do nothing before saving."""


@dataclass(frozen=True)
class Tasks:
    """The finished tasks of one kind of evidence.

    Attributes:
        folder: where they are kept; None keeps nothing.
        before_saving: called before anything is saved, such as to record what it depends on.
    """

    folder: Path | None = None
    before_saving: Callable[[], None] = nothing

    def of(self, evidence: Path, kind: str) -> Tasks:
        """Those of a kind, in the folder of its evidence."""
        return Tasks(evidence / _FOLDER / kind, self.before_saving)

    def kept(self, name: str, kind: type[T], measure: Callable[[], T]) -> T:
        """What a task gives: as it was kept, or measured now and kept.

        Args:
            name: of the task, unique in its kind of evidence.
            kind: a frozen dataclass of arrays, numbers, strings, and such dataclasses.
            measure: runs the task.
        """
        if self.folder is None:
            return measure()
        file = _file_name(name)
        found = store.load_if_sound(self.folder, file, kind)
        if found is None:
            found = measure()
            self.before_saving()
            store.save(self.folder, file, found)
        return found

    def forget(self) -> None:
        """Remove them, once the kind is saved as a whole."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def forget_all(evidence: Path) -> None:
    """Remove the tasks of all kinds, before evidence is gathered afresh."""
    shutil.rmtree(evidence / _FOLDER, ignore_errors=True)


def _file_name(name: str) -> str:
    """A short file name that differs for different tasks."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG]
    return f"{slug}-{sha256(name.encode()).hexdigest()[:12]}"
