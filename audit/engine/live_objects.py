"""Objects that a call from Python gives in the place of names in the settings."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.models.given_module import GivenModel


@dataclass(frozen=True)
class LiveObjects:
    """What the settings only name; None where they name something that can be loaded.

    Attributes:
        explainer: a function, a class, or any other callable.
        other: the one that it is compared with.
        model: a module, and what goes with it.
        data: pairs, tensors or a dataset.
        sources: lines of code that lies in no file, such as a notebook's cell, by its name.
    """

    explainer: Callable[..., Any] | None = None
    other: Callable[..., Any] | None = None
    model: GivenModel | None = None
    data: object | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return any(x is not None for x in (self.explainer, self.other, self.model, self.data))

    def without_explainer(self) -> LiveObjects:
        """Model and data alone."""
        return replace(self, explainer=None, other=None)

    def with_sources(self, sources: Mapping[str, tuple[str, ...]]) -> LiveObjects:
        """The same with lines that another process could not read."""
        return replace(self, sources=sources)

    def show_sources(self) -> None:
        """Make the lines known to this process, which may not be the one that read them."""
        for name, lines in self.sources.items():
            entry = (sum(map(len, lines)), None, list(lines), name)
            linecache.cache.setdefault(name, entry)


NOTHING = LiveObjects()


def name_of(call: Callable[..., Any]) -> str:
    """``module:function`` of a callable; of an instance, its class; of a partial, its function."""
    while hasattr(call, "func"):  # functools.partial
        call = call.func
    named: Any = call if hasattr(call, "__qualname__") else type(call)
    return f"{named.__module__}:{named.__qualname__.rpartition('<locals>.')[2]}"


def sources_without_files() -> dict[str, tuple[str, ...]]:
    """Lines of what was typed in this process: cells of a notebook, lines of a prompt."""
    return {
        name: tuple(entry[2])
        for name, entry in list(linecache.cache.items())
        if len(entry) == 4 and not Path(name).exists()
    }
