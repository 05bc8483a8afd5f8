"""Small helpers for the sentences and figures of findings."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence

import numpy as np

from audit.evidence.kinds import PAIR_PLACEHOLDER, Reference, Roles, SourceLines
from audit.result.figures import NamedMap, PairFigure, SourceFigure
from audit.result.finding import Location, Witness
from audit.result.wording import number
from audit.statistics.estimate import Estimate
from audit.trace.records import Array

ASIDE = "audit-report/see-again"
"""Where the commands that show a violation again write to: the report of the audit stays."""


def listed(items: Iterable[str], most: int = 4) -> str:
    """Items joined by commas, the rest counted."""
    every = list(dict.fromkeys(items))
    rest = len(every) - most
    return ", ".join(every[:most]) + (f" and {rest} more" if rest > 0 else "")


def interval_words(estimate: Estimate) -> str:
    """An estimate with its interval, or that the data allow none."""
    if math.isnan(estimate.value):
        return "unknown, since nothing varies or there are too few to tell"
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return f"{number(estimate.value)}, too few to give it an interval"
    return (
        f"{number(estimate.value)}, {100 * estimate.level:.3g} % interval "
        f"{number(estimate.low)} to {number(estimate.high)}"
    )


def finite(value: float) -> float | None:
    """A number for a report, None where there is none."""
    return float(value) if np.isfinite(value) else None


def at(place: str) -> str:
    """Where something is done, to follow a clause: `` (file:line)``; empty where unknown."""
    return f" ({place})" if place else ""


def location(place: str, text: str = "") -> Location | None:
    """A place ``file:line`` as a location, None where it is unknown."""
    file, _, line = place.rpartition(":")
    return Location(file=file, line=int(line), text=text) if file and line.isdigit() else None


def locations(places: Iterable[tuple[str, str]]) -> list[Location]:
    """Known places, each once, with what is said of it first."""
    found: dict[str, Location | None] = {}
    for place, text in places:
        found.setdefault(place, location(place, text))
    return [one for one in found.values() if one is not None]


def source_figure(sources: dict[str, SourceLines], place: str, caption: str) -> list[SourceFigure]:
    """The source lines around a place, where they could be read."""
    lines = sources.get(place)
    if lines is None:
        return []
    return [
        SourceFigure(
            title=place,
            caption=caption,
            file=lines.file,
            line=lines.line,
            first_line=lines.first_line,
            lines=list(lines.lines),
        )
    ]


def witness(roles: Roles, check: str, pair: str, *, alone: bool = True) -> Witness:
    """How to see a violation again: on its worst pair, or on all where one settles nothing."""
    return Witness(
        pair=pair,
        command=_again(roles.command, check, pair if alone else None),
        snippet=roles.snippet.replace(repr(PAIR_PLACEHOLDER), repr(pair)),
        alone=alone,
    )


def _again(command: str, check: str, pair: str | None) -> str:
    """A command line, or a call of Python, with one check and at most one pair."""
    if command.endswith(")"):  # a shell's word would end with a quotation mark
        one = f", pair={pair!r}" if pair is not None else ""
        return f"{command[:-1]}, select={check!r}{one})"
    one = f" --pair {shlex.quote(pair)}" if pair is not None else ""
    return f"{command} --only {check}{one} --out {ASIDE}/{check} --no-history"


def grid_of(values: Array) -> list[list[float | None]]:
    """A map as rows of finite numbers."""
    return [[float(v) if np.isfinite(v) else None for v in row] for row in np.asarray(values)]


def pair_figure(
    reference: Reference,
    index: int,
    title: str,
    caption: str,
    maps: Sequence[tuple[str, Array]],
    *,
    shared_scale: bool = False,
) -> PairFigure:
    """A pair with some maps; the result holds its picture."""
    return PairFigure(
        title=title,
        caption=caption,
        pair=reference.ids[index],
        maps=[NamedMap(title=name, values=grid_of(values)) for name, values in maps],
        shared_scale=shared_scale,
    )
