"""The points of a scatter plot as a table: a row per point, a column per series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from audit.result.figures import Point, ScatterFigure, Series

__all__ = ["PointRow", "flat_series", "point_rows"]

_OF_THEIR_OWN: Final = 2  # columns of a row beside those of the series: its name and its x


@dataclass
class PointRow:
    """A point's name and place on the x axis, and what each series has there, by its position."""

    point: Point
    found: dict[int, Point] = field(default_factory=dict)


def flat_series(figure: ScatterFigure) -> list[int]:
    """Positions of the series that have one value at every point, if others have more than one."""
    heights = [{(point.y, point.y_interval) for point in one.points} for one in figure.series]
    flat = [position for position, found in enumerate(heights) if len(found) == 1]
    return flat if len(flat) < len(heights) else []


def point_rows(figure: ScatterFigure) -> list[PointRow] | None:
    """One row for the points of all series that share a name and an x.

    Flat series have none. A point without a name joins the row at its x. None where series share so
    few points that a row for each point of each series takes fewer cells.
    """
    rows: list[PointRow] = []
    flat = flat_series(figure)
    for position, series in enumerate(figure.series):
        for point in series.points if position not in flat else ():
            row = _row_of(point, position, rows)
            if row is None:
                rows.append(row := PointRow(point))
            row.found[position] = point
    columns = _OF_THEIR_OWN + len(figure.series) - len(flat)
    return rows if len(rows) * columns < _cells_one_by_one(figure.series) else None


def _row_of(point: Point, position: int, rows: Iterable[PointRow]) -> PointRow | None:
    for row in rows:
        alike = (row.point.x, row.point.x_interval) == (point.x, point.x_interval)
        if alike and position not in row.found and point.label in {"", row.point.label}:
            return row
    return None


def _cells_one_by_one(series: Iterable[Series]) -> int:
    """A row has the series, the point, x and y."""
    return 4 * sum(len(one.points) for one in series)
