"""A benchmark's cells: one audit each of an explainer on a model and its data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from audit.config.settings import Settings
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.errors import INCOMPLETE
from audit.result.schema import Result

_SLUG: Final = re.compile(r"[^A-Za-z0-9.=_-]+")
_LONGEST: Final = 60
_GRAVEST: Final[tuple[Literal[0, 1, 3], ...]] = (3, 1, 0)


@dataclass(frozen=True)
class Cell:
    """An audit that is asked for.

    Attributes:
        settings: of the audit; ``out`` is its own folder.
        name: of its explainer, as it was given.
        live: objects in the place of what the settings name.
    """

    settings: Settings
    name: str
    live: LiveObjects = NOTHING

    @property
    def subject(self) -> str:
        """Model and data, in the words of the settings."""
        weights = f", {self.settings.pretrained}" if self.settings.pretrained else ""
        return f"{self.settings.model}{weights} on {self.settings.data}"


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        cell: it.
        result: of the audit; None where there was none.
        message: why not.
        applies: False where the explainer needs what this model does not have.
        kept: whether it is that of an interrupted benchmark.
    """

    cell: Cell
    result: Result | None
    message: str = ""
    applies: bool = True
    kept: bool = False


@dataclass(frozen=True)
class Benchmark:
    """The outcomes of all cells, in the order in which they were asked for."""

    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def exit_code(self) -> Literal[0, 1, 3]:
        """The gravest of all audits; what could not be run is incomplete."""
        codes = {o.result.exit_code if o.result else INCOMPLETE for o in self.outcomes if o.applies}
        return next((code for code in _GRAVEST if code in codes), 3)

    def subjects(self) -> Mapping[str, Sequence[Outcome]]:
        """The outcomes by model and data."""
        found: dict[str, list[Outcome]] = {}
        for one in self.outcomes:
            found.setdefault(one.cell.subject, []).append(one)
        return found

    def lines(self) -> Iterator[str]:
        """For the terminal: a line an audit."""
        many = len(self.subjects()) > 1
        for one in self.outcomes:
            where = f" ({one.cell.subject})" if many else ""
            said = one.result.headline if one.result else one.message
            word = one.result.verdict if one.result else "not run" if one.applies else "left out"
            yield f"{word:<10}  {one.cell.name}{where}: {said}"


def cells(
    explainers: Iterable[str], subjects: Sequence[Mapping[str, object]], settings: Settings
) -> list[Cell]:
    """One cell for each explainer on each subject, each with a folder of its own.

    Args:
        explainers: names, each once.
        subjects: what differs in the settings: model, weights and data.
        settings: of all audits; its ``out`` is the folder of the benchmark.
    """
    names = list(dict.fromkeys(explainers))
    taken: set[str] = set()
    found = []
    for subject in subjects:
        own = settings.model_copy(update=dict(subject))
        parts = [own.model, *([own.pretrained] if own.pretrained else []), own.data]
        above = "" if len(subjects) == 1 else f"{_slug('-'.join(map(_tail, parts)))}/"
        for name in names:
            folder = _free(f"{above}{_slug(_tail(name))}", taken)
            update = {"explainer": name, "out": str(Path(settings.out) / folder)}
            found.append(Cell(own.model_copy(update=update), name))
    return found


def _tail(source: str) -> str:
    """The end of a path, or a name as it is."""
    return source.rsplit("/", 1)[-1]


def _slug(text: str) -> str:
    return _SLUG.sub("-", text).strip("-.")[:_LONGEST] or "explainer"


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where another cell has it."""
    free = next(
        n for i in range(1, len(taken) + 2) if (n := f"{name}-{i}" if i > 1 else name) not in taken
    )
    taken.add(free)
    return free
