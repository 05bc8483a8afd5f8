"""Two releases of an explainer side by side: one offline page, in the look of the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from audit.engine.comparison import CheckChange, Comparison
from audit.reports import pair_views, statuses
from audit.reports.html import render_page
from audit.reports.output import write_whole
from audit.result.figures import DIFFERENCE, NamedMap, PairFigure
from audit.result.schema import Result

PAIRS_SHOWN: Final = 6
_SEEN: Final = 0.1  # of the larger map's reach; a smaller one could not be seen on its scale
Grid = list[list[float | None]]


@dataclass(frozen=True)
class Release:
    """A result, and the file that it was read from; None for one of this process."""

    result: Result
    file: Path | None = None

    def report(self, page: Path | None) -> str:
        """The way from a page to its report, where there is one beside the result."""
        if self.file is None or page is None:
            return ""
        report = self.file.parent / "report.html"
        if not report.is_file():
            return ""
        return quote(Path(os.path.relpath(report, page.parent)).as_posix())


@dataclass(frozen=True)
class Row:
    """A check in both releases; a status is None where it was not checked."""

    change: CheckChange
    id: str
    name: str
    was: statuses.Status | None
    now: statuses.Status | None


def write_comparison(path: Path, old: Release, new: Release, found: Comparison) -> None:
    """Write the page.

    Raises:
        OutputWriteError: it cannot be written.
    """
    write_whole(path, render_comparison(old, new, found, path))


def render_comparison(
    old: Release, new: Release, found: Comparison, page: Path | None = None
) -> str:
    """Render a comparison as one self-contained page.

    Args:
        old: the accepted release.
        new: the candidate.
        found: what changed.
        page: where it will lie, from which it links to the reports; None for no links.
    """
    figures = _changed_most(old.result, new.result)
    return render_page(
        "comparison.html.j2",
        styles=("report.css", "trend.css", "benchmark.css"),
        old=old.result,
        new=new.result,
        links=(old.report(page), new.report(page)),
        found=found,
        rows=sorted(map(_row, found.changes), key=_gravest_first),
        figures=figures,
        photos=pair_views.photos_of(new.result, figures),
        version=new.result.conditions.audit_version,
        started=new.result.timing.started,
    )


def _row(change: CheckChange) -> Row:
    check = change.new or change.old
    return Row(
        change=change,
        id=check.id if check else "",
        name=check.name if check else "",
        was=statuses.status_of(change.old) if change.old else None,
        now=statuses.status_of(change.new) if change.new else None,
    )


def _gravest_first(row: Row) -> tuple[bool, bool, bool, str]:
    change = row.change
    return not change.fails, not change.worse, not change.better, row.id


def _changed_most(old: Result, new: Result) -> tuple[PairFigure, ...]:
    """The pairs whose maps differ most, where both show them on the same grid."""
    before, after = _maps(old), _maps(new)
    same = old.data.sha256 == new.data.sha256
    common = [pair for pair in after if pair in before and same and _alike(before, after, pair)]
    order = sorted(common, key=lambda pair: -_distance(before[pair], after[pair]))
    return tuple(
        PairFigure(
            title="",
            caption="",
            pair=pair,
            maps=[
                NamedMap(title="before", values=before[pair]),
                NamedMap(title="now", values=after[pair]),
                NamedMap(title=DIFFERENCE, values=_minus(after[pair], before[pair])),
            ],
            shared_scale=_seen_together(before[pair], after[pair]),
        )
        for pair in order[:PAIRS_SHOWN]
    )


def _maps(result: Result) -> dict[str, Grid]:
    return {card.pair: card.maps[0].values for card in result.gallery if card.maps}


def _alike(one: Mapping[str, Grid], other: Mapping[str, Grid], pair: str) -> bool:
    return [len(row) for row in one[pair]] == [len(row) for row in other[pair]]


def _seen_together(one: Grid, other: Grid) -> bool:
    """Whether both maps can be seen on one scale; a release may have another unit of its maps."""
    reaches = [
        max((abs(value) for row in grid for value in row if value is not None), default=0.0)
        for grid in (one, other)
    ]
    return min(reaches) >= _SEEN * max(reaches)


def _minus(one: Grid, other: Grid) -> Grid:
    return [
        [None if a is None or b is None else a - b for a, b in zip(x, y, strict=True)]
        for x, y in zip(one, other, strict=True)
    ]


def _distance(one: Grid, other: Grid) -> float:
    """Largest difference over the range of the first map."""
    values = [value for row in one for value in row if value is not None]
    span = max(values, default=0.0) - min(values, default=0.0)
    gaps = [abs(value) for row in _minus(one, other) for value in row if value is not None]
    return max(gaps, default=0.0) / span if span else max(gaps, default=0.0)
