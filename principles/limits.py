"""Limits that a check judges by: frozen dataclasses whose fields say which values make sense."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

Limit = float | int | str | bool


class LimitError(ValueError):
    """A limit that means nothing.

    Attributes:
        name: of the limit.
        wanted: the values that make sense, in words.
    """

    def __init__(self, name: str, wanted: str, found: Any) -> None:
        super().__init__(f"limit {name}: expected {wanted}, got {found}")
        self.name, self.wanted = name, wanted


@dataclass(frozen=True)
class Range:
    """The values of a limit that make sense.

    Attributes:
        words: for messages, as in ``expected a share from 0 to 1``.
        low: the least, which belongs to it unless ``above``.
        high: the largest.
        above: the least itself does not belong to it.
        whole: whole numbers only.
    """

    words: str
    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    whole: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value makes sense; what is not finite never does."""
        inside = self.low < value if self.above else self.low <= value
        fits = inside and value <= self.high and math.isfinite(value)
        return fits and (not self.whole or float(value).is_integer())


Number = Annotated[float, Range("a finite number")]
NotNegative = Annotated[float, Range("a number of 0 or more", low=0)]
Share = Annotated[float, Range("a share from 0 to 1", low=0, high=1)]
Correlation = Annotated[float, Range("a number from -1 to 1", low=-1, high=1)]
AtMostOne = Annotated[float, Range("a number of at most 1", high=1)]
ErrorRate = Annotated[float, Range("a share above 0, at most 0.5", low=0, high=0.5, above=True)]
Count = Annotated[int, Range("a whole number of 1 or more", low=1, whole=True)]
_PLAIN = {float: typing.get_args(Number)[1], int: typing.get_args(Count)[1]}


@dataclass(frozen=True)
class CheckLimits:
    """No limits; those of a check derive from this, each field with a type that has a range."""

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            LimitError: a value out of its range.
        """
        _must_hold(ranges_of(type(self)), vars(self))

    @classmethod
    def of(cls, values: Mapping[str, Limit]) -> CheckLimits:
        """The defaults, with those of some values that these limits know by name.

        Raises:
            LimitError: a value out of its range.
        """
        ranges = ranges_of(cls)
        known = {f.name for f in dataclasses.fields(cls)}
        given = {name: value for name, value in values.items() if name in known}
        _must_hold(ranges, given)
        return cls(**{name: _whole(ranges.get(name), value) for name, value in given.items()})

    def values(self) -> dict[str, Limit]:
        """By name, as a result keeps them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def ranges_of(limits: type[CheckLimits]) -> dict[str, Range]:
    """The range of each number among some limits; words and switches have none."""
    hints = typing.get_type_hints(limits, include_extras=True)
    found = {f.name: _range(hints[f.name]) for f in dataclasses.fields(limits)}
    return {name: wanted for name, wanted in found.items() if wanted is not None}


def _must_hold(ranges: Mapping[str, Range], values: Mapping[str, Any]) -> None:
    for name, wanted in ranges.items():
        if name in values and not wanted.holds(values[name]):
            raise LimitError(name, wanted.words, f"{values[name]:g}")


def _range(hint: Any) -> Range | None:
    stated = [part for part in typing.get_args(hint) if isinstance(part, Range)]
    return stated[0] if stated else _PLAIN.get(hint)


def _whole(wanted: Range | None, value: Limit) -> Limit:
    """Settings hold every number as a float."""
    if wanted is not None and wanted.whole and isinstance(value, float) and wanted.holds(value):
        return int(value)
    return value
