"""Charts of a result laid out for the page: pure geometry, drawn by the templates as SVG.

Lengths are in the units of the drawing's own view box. The drawings carry no color: the style
sheet gives it, so that they follow the reader's light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from audit.result.figures import BarsFigure, Point, ScatterFigure
from audit.result.numbers import Interval, Statistic
from audit.result.wording import MINUS, number

__all__ = [
    "Bar",
    "Gauge",
    "Mark",
    "ScatterView",
    "Tick",
    "bars_view",
    "gauge",
    "scatter_view",
]

GAUGE_WIDTH: Final = 240.0
BAR_WIDTH: Final = 100.0
PLOT: Final = (62.0, 14.0, 544.0, 286.0)  # left, top, right, bottom of the scatter plot's frame
_PADDING: Final = 0.12


@dataclass(frozen=True)
class Gauge:
    """An interval beside its threshold on a line of `GAUGE_WIDTH`."""

    value: float
    low: float | None
    high: float | None
    threshold: float | None
    good: tuple[float, float] | None
    open_low: bool
    open_high: bool


@dataclass(frozen=True)
class Bar:
    """One bar in percent of the chart's width; ``start`` is where zero or the axis begins."""

    label: str
    text: str
    start: float
    length: float
    beyond: bool


@dataclass(frozen=True)
class Tick:
    """A labeled place on an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point with its whiskers; ``None`` where there is no interval."""

    x: float
    y: float
    left: float | None
    right: float | None
    top: float | None
    bottom: float | None
    text: str


@dataclass(frozen=True)
class ScatterView:
    """Axes and marks of a scatter plot, one tuple of marks and one line per series."""

    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[tuple[Mark, ...], ...]
    lines: tuple[str, ...]


def gauge(statistic: Statistic) -> Gauge | None:
    """The drawing of a statistic; ``None`` where it has no value."""
    if not _finite(statistic.value):
        return None
    value, threshold = statistic.value or 0.0, statistic.threshold
    low, high = _ends(statistic.interval)
    known = [item for item in (value, low, high, threshold) if item is not None]
    place = _axis(min(known), max(known), 0.0, GAUGE_WIDTH)
    good = None
    if threshold is not None and statistic.good_side == "above":
        good = (place(threshold), GAUGE_WIDTH)
    elif threshold is not None and statistic.good_side == "below":
        good = (0.0, place(threshold))
    has_interval = statistic.interval is not None
    return Gauge(
        value=place(value),
        low=None if low is None else place(low),
        high=None if high is None else place(high),
        threshold=None if threshold is None else place(threshold),
        good=good,
        open_low=has_interval and low is None,
        open_high=has_interval and high is None,
    )


def bars_view(figure: BarsFigure) -> tuple[tuple[Bar, ...], float | None]:
    """The bars, and where the limit lies; in percent of the width."""
    pairs = list(zip(figure.labels, figure.values, strict=False))
    known = [value for _, value in pairs if value is not None and math.isfinite(value)]
    limit = figure.limit if _finite(figure.limit) else None
    ends = known + ([limit] if limit is not None else [])
    place, zero = _bar_axis(ends, log_scale=figure.log_scale)
    unit = f" {figure.unit}" if figure.unit else ""
    bars = []
    for label, value in pairs:
        if value is None or not math.isfinite(value):
            bars.append(Bar(label, number(None), zero, 0.0, beyond=False))
            continue
        start, end = sorted((zero, place(value)))
        beyond = limit is not None and figure.good_side == "below" and value > limit
        bars.append(Bar(label, number(value) + unit, start, end - start, beyond))
    return tuple(bars), None if limit is None else place(limit)


def scatter_view(figure: ScatterFigure) -> ScatterView:
    """Axes that hold every point with its whiskers, and where to draw them."""
    points = [point for series in figure.series for point in series.points if _drawn(point)]
    left, top, right, bottom = PLOT
    x_low, x_high = _range([(p.x, p.x_interval) for p in points])
    y_low, y_high = _range([(p.y, p.y_interval) for p in points])
    x, y = _axis(x_low, x_high, left, right), _axis(y_low, y_high, bottom, top)
    marks = tuple(
        tuple(_mark(point, x, y) for point in series.points if _drawn(point))
        for series in figure.series
    )
    lines = tuple(
        " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in sorted(one, key=lambda mark: mark.x))
        if series.line
        else ""
        for series, one in zip(figure.series, marks, strict=True)
    )
    return ScatterView(
        x_ticks=_ticks(x_low, x_high, x, left, right),
        y_ticks=_ticks(y_low, y_high, y, top, bottom),
        marks=marks,
        lines=lines,
    )


def _mark(point: Point, x: Callable[[float], float], y: Callable[[float], float]) -> Mark:
    left, right = _ends(point.x_interval)
    low, high = _ends(point.y_interval)
    name = f"{point.label}: " if point.label else ""
    return Mark(
        x=x(point.x),
        y=y(point.y),
        left=None if left is None else x(left),
        right=None if right is None else x(right),
        top=None if high is None else y(high),
        bottom=None if low is None else y(low),
        text=f"{name}{number(point.x)}, {number(point.y)}",
    )


def _axis(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = high - low
    if not span > 0 or not math.isfinite(span):
        span = abs(low) or 1.0
        low = low - span / 2
    first, width = low - _PADDING * span, span * (1 + 2 * _PADDING)
    return lambda value: round(start + (value - first) / width * (end - start), 2)


def _bar_axis(ends: Sequence[float], *, log_scale: bool) -> tuple[Callable[[float], float], float]:
    if log_scale:
        positive = [math.log10(value) for value in ends if value > 0] or [0.0]
        low, high = math.floor(min(positive)) - 0.5, max(positive)
        width = (high - low) * 1.04 or 1.0
        return lambda value: _percent(math.log10(value) - low if value > 0 else 0.0, width), 0.0
    low, high = min([0.0, *ends]), max([0.0, *ends])
    width = (high - low) * 1.04 or 1.0
    return lambda value: _percent(value - low, width), _percent(-low, width)


def _percent(part: float, whole: float) -> float:
    return round(BAR_WIDTH * part / whole, 2)


def _range(values: Sequence[tuple[float, Interval | None]]) -> tuple[float, float]:
    every = [value for value, _ in values]
    every += [end for _, interval in values for end in _ends(interval) if end is not None]
    return (min(every), max(every)) if every else (0.0, 1.0)


def _ticks(
    low: float, high: float, place: Callable[[float], float], start: float, end: float
) -> tuple[Tick, ...]:
    span = high - low if high > low else abs(low) or 1.0
    power = math.floor(math.log10(span / 4)) if math.isfinite(span) else 0
    factor = next(factor for factor in (1, 2, 2.5, 5, 10) if span / (10**power * factor) <= 5)
    step = factor * 10.0**power
    first = math.ceil((low - _PADDING * span) / step)
    candidates = [(first + index) * step for index in range(9)]
    digits = max(0, (factor == 2.5) - (factor == 10) - power)
    plain = digits <= 4 and max(abs(low), abs(high)) < 1e5
    return tuple(
        Tick(place(value), f"{value:.{digits}f}".replace("-", MINUS) if plain else number(value))
        for value in candidates
        if start <= place(value) <= end
    )


def _ends(interval: Interval | None) -> tuple[float | None, float | None]:
    if interval is None:
        return None, None
    low = interval.low if _finite(interval.low) else None
    high = interval.high if _finite(interval.high) else None
    return low, high


def _drawn(point: Point) -> bool:
    return math.isfinite(point.x) and math.isfinite(point.y)


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
