"""Finished tasks on disk: what an interrupted gatherer has measured is not measured again.

A gatherer splits into tasks, such as rungs, edits or batches of pairs. Each is kept as soon as it
is finished and forgotten once the whole kind is. What a task measures may depend on nothing but the
context and the name of the task, so that a resumed audit gives the same bytes: no generator that
other tasks have drawn from, no state of an earlier one.

What depends on model and data alone can be shared by the audits of several explainers: it is kept
in a folder of its own, which one process fills that runs none of them, and the others only read.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from audit.evidence import store
from audit.evidence.deadline import Deadline
from audit.evidence.side_by_side import Executor, Forks
from audit.trace.records import Array

T = TypeVar("T")
_FOLDER = "tasks"
_SLUG = 40


@dataclass(frozen=True)
class Shared:
    """Where tasks are kept that depend on model and data alone.

    Attributes:
        folder: for one model, data and settings.
        fills: whether this process writes there; one that runs an explainer under audit never does.
    """

    folder: Path
    fills: bool


@dataclass(frozen=True)
class Drawn:
    """What a task gives that draws maps, or measures something of them, by explainer."""

    of: dict[str, Array]


@runtime_checkable
class Filler(Protocol):
    """What measures in another process what depends on model and data alone."""

    def ask(self, place: str, kinds: Iterable[str], /) -> None:
        """Kinds of evidence that will be wanted."""

    def folder_of(self, place: str, kind: str, in_time: Callable[[], None], /) -> Path | None:
        """Where the tasks of a kind lie, once they are there; None where they are not shared."""


@runtime_checkable
class Sampler(Protocol):
    """What runs some tasks in the place of all, to find out what all would cost.

    Those cost alike whose names agree up to a comma; the others each cost what they cost.
    """

    def kept(self, name: str, measure: Callable[[], T], /) -> T:
        """What a task gives, or one like it."""

    def all_kept(self, tasks: Mapping[str, Callable[[], T]], /) -> list[T]:
        """What several tasks give, or others like them."""

    def of_batches(
        self, parts: Sequence[Tensor], draw: Callable[[Tensor], Tensor], /
    ) -> list[Tensor]:
        """What is drawn of batches, or of others of their size."""


def nothing() -> None:
    """Do nothing before saving, or while something is waited for."""


def nobody(_: int) -> None:
    """Tell nobody how far the work is."""


@dataclass(frozen=True)
class Tasks:
    """The finished tasks of one kind of evidence.

    Attributes:
        folder: where they are kept; None keeps nothing.
        before_saving: called before anything is saved, such as to record what it depends on.
        shared: where those are kept that depend on model and data alone; None shares nothing.
        executor: measures tasks side by side.
        deadline: after which nothing new is measured; None for no limit.
        filler: measures elsewhere what is shared; None for nobody.
        sampler: runs some of them only; None for all.
    """

    folder: Path | None = None
    before_saving: Callable[[], None] = nothing
    shared: Shared | None = None
    executor: Executor = field(default_factory=Forks)
    deadline: Deadline | None = None
    filler: Filler | None = None
    sampler: Sampler | None = None

    def of(self, evidence: Path, kind: str) -> Tasks:
        """Those of a kind, in the folder of its evidence."""
        there = self.shared
        if there is not None:
            there = replace(there, folder=there.folder / evidence.name / kind)
        return replace(self, folder=evidence / _FOLDER / kind, shared=there)

    def ask(self, evidence: Path, kinds: Iterable[str]) -> None:
        """Say which kinds will be wanted of some evidence, so that the filler can begin."""
        if self.filler is not None:
            self.filler.ask(evidence.name, kinds)

    def filled(self, evidence: Path, kind: str) -> Tasks:
        """Those of a kind, once the filler has measured what is shared of them.

        Raises:
            OutOfTimeError: no time is left to wait.
        """
        if self.filler is None:
            return self
        folder = self.filler.folder_of(evidence.name, kind, self.in_time)
        return self if folder is None else replace(self, shared=Shared(folder, fills=False))

    def kept(
        self, name: str, kind: type[T], measure: Callable[[], T], *, of_model: bool = False
    ) -> T:
        """What a task gives: as it was kept, or measured now and kept.

        Args:
            name: of the task, unique in its kind of evidence.
            kind: a frozen dataclass of arrays, numbers, strings, and such dataclasses.
            measure: runs the task.
            of_model: whether it depends on model and data alone.
        """
        if self.sampler is not None:
            return self.sampler.kept(name, measure)
        if of_model and self.shared is not None:
            return self._kept_for_all(self.shared, name, kind, measure)
        if self.folder is None:
            self.in_time()
            return measure()
        file = task_file(name)
        found = store.load_if_sound(self.folder, file, kind)
        if found is None:
            self.in_time()
            found = measure()
            self.before_saving()
            store.save(self.folder, file, found)
        return found

    def in_time(self) -> None:
        """Raise where nothing new may be measured.

        Raises:
            OutOfTimeError: says why.
        """
        if self.deadline is not None:
            self.deadline.check()

    def _kept_for_all(
        self, shared: Shared, name: str, kind: type[T], measure: Callable[[], T]
    ) -> T:
        file = task_file(name)
        found = store.load_if_sound(shared.folder, file, kind)
        if found is None and not shared.fills:
            return replace(self, shared=None).kept(name, kind, measure)
        if found is None:
            found = measure()
            store.save(shared.folder, file, found)
        return found

    def drawn(
        self, name: str, draw: Callable[[], Mapping[str, Tensor]], *, of_model: bool = False
    ) -> dict[str, Tensor]:
        """What a task draws, by explainer: as it was kept, or drawn now and kept.

        Args:
            name: of the task, unique in its kind of evidence.
            draw: gives tensors.
            of_model: whether it depends on model and data alone.
        """
        return _tensors(self.kept(name, Drawn, partial(_drawn, draw), of_model=of_model))

    def one_drawn(self, name: str, draw: Callable[[], Tensor], *, of_model: bool = False) -> Tensor:
        """Like `drawn`, of a single tensor."""
        (found,) = self.drawn(name, lambda: {"": draw()}, of_model=of_model).values()
        return found

    def all_kept(
        self,
        kind: type[T],
        tasks: Mapping[str, Callable[[], T]],
        told: Callable[[int], None] = nobody,
        *,
        of_model: bool | Container[str] = False,
    ) -> list[T]:
        """What several tasks give, in their order; measured side by side where that can be.

        Args:
            kind: see `kept`.
            tasks: what runs each, by its name.
            told: how many are finished.
            of_model: see `kept`; the names of those of which it holds, where it does not of all.
        """
        if self.sampler is not None:
            return self.sampler.all_kept(tasks)
        shares = {n: of_model if isinstance(of_model, bool) else n in of_model for n in tasks}
        calls = {
            name: partial(self.kept, name, kind, measure, of_model=shares[name])
            for name, measure in tasks.items()
        }
        missing = {n: one for n, one in calls.items() if not self._is_kept(n, of_model=shares[n])}
        aside = self.folder is not None and self.executor.takes(len(missing))
        if aside and self.folder is not None:
            there = len(calls) - len(missing)
            self.executor.run(self.folder, missing, lambda done: told(there + done))
        found = []
        for done, call in enumerate(calls.values(), 1):
            found.append(call())
            if not aside:
                told(done)
        return found

    def all_drawn(
        self,
        tasks: Mapping[str, Callable[[], Mapping[str, Tensor]]],
        told: Callable[[int], None] = nobody,
        *,
        of_model: bool | Container[str] = False,
    ) -> list[dict[str, Tensor]]:
        """Like `all_kept`, of tasks that draw tensors."""
        measured = {name: partial(_drawn, draw) for name, draw in tasks.items()}
        return [_tensors(d) for d in self.all_kept(Drawn, measured, told, of_model=of_model)]

    def of_batches(self, parts: Sequence[Tensor], draw: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """What is drawn of batches, one after the other, within a task."""
        if self.sampler is not None:
            return self.sampler.of_batches(parts, draw)
        return [draw(part) for part in parts]

    def _is_kept(self, name: str, *, of_model: bool) -> bool:
        shared = self.shared.folder if self.shared is not None and of_model else None
        file, places = task_file(name), (self.folder, shared)
        return any(place is not None and store.is_there(place, file) for place in places)

    def any_kept(self) -> bool:
        """Whether an earlier audit has finished a task."""
        return self.folder is not None and self.folder.is_dir() and any(self.folder.iterdir())

    def forget(self) -> None:
        """Remove them, once the kind is saved as a whole."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _drawn(draw: Callable[[], Mapping[str, Tensor]]) -> Drawn:
    return Drawn({name: as_array(t) for name, t in draw().items()})


def _tensors(found: Drawn) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in found.of.items()}


def as_array(values: Tensor) -> Array:
    """A tensor as numpy holds it; bfloat16, which numpy lacks, as float32."""
    values = values.detach().cpu()
    return (values.float() if values.dtype is torch.bfloat16 else values).numpy()


def forget_all(evidence: Path) -> None:
    """Remove the tasks of all kinds, before evidence is gathered afresh."""
    shutil.rmtree(evidence / _FOLDER, ignore_errors=True)


def task_file(name: str) -> str:
    """The name of a task's files: short, and another for every task."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG]
    return f"{slug}-{sha256(name.encode()).hexdigest()[:12]}"
