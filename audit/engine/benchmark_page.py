"""A benchmark as one offline page, in the look of the report."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from audit.engine.benchmark_cells import Benchmark, Outcome
from audit.engine.benchmark_scores import Score, scores_by_measure
from audit.evidence.evenly_spaced import evenly_spaced
from audit.explainers.registry import reduced
from audit.reports import pair_views, statuses
from audit.reports.html import render_page
from audit.result import wording as words
from audit.result.figures import NamedMap, PairFigure
from audit.result.gate_rule import VERDICTS
from audit.result.schema import CheckResult, Result

PAIRS_SHOWN: Final = 6


@dataclass(frozen=True)
class Row:
    """An explainer in the matrix.

    Attributes:
        outcome: its audit.
        cells: what each check said.
        link: where its report lies.
        reduced: what it does less of than by default, in words.
    """

    outcome: Outcome
    cells: tuple[statuses.Status | None, ...]
    link: str
    reduced: str = ""


@dataclass(frozen=True)
class Subject:
    """One model and its data on the page.

    Attributes:
        title: both in words.
        anchor: on the page.
        rows: the explainers.
        checks: that any of them met.
        scores: by measure.
        figures: maps of the same pairs side by side.
        shown: a result that knows these pairs.
        photos: their pictures.
    """

    title: str
    anchor: str
    rows: tuple[Row, ...]
    checks: tuple[CheckResult, ...]
    scores: Mapping[str, tuple[Score, ...]]
    figures: tuple[PairFigure, ...]
    shown: Result | None
    photos: Mapping[str, pair_views.Photo]


def render_benchmark(benchmark: Benchmark, folder: Path | None = None) -> str:
    """Render a benchmark as one self-contained page.

    Args:
        benchmark: what was audited.
        folder: where the page will lie, from which it links to the reports; None for no links.
    """
    subjects = [
        _subject(title, f"subject-{number}", outcomes, folder)
        for number, (title, outcomes) in enumerate(benchmark.subjects().items(), 1)
    ]
    results = [one.result for one in benchmark.outcomes if one.result]
    counts = Counter(_word(one) for one in benchmark.outcomes)
    return render_page(
        "benchmark.html.j2",
        styles=("report.css", "trend.css", "benchmark.css"),
        subjects=subjects,
        benchmark=benchmark,
        verdict=VERDICTS[benchmark.exit_code],
        counts=list(counts.items()),
        version=results[0].conditions.audit_version if results else "",
        started=min((one.timing.started for one in results), default=""),
    )


def _word(one: Outcome) -> str:
    """What is counted of an audit."""
    said = {"pass": "passed", "violation": "with violations", "incomplete": "incomplete"}
    if one.result:
        return said[one.result.verdict]
    return "could not be run" if one.applies else "left out"


def _subject(title: str, anchor: str, outcomes: Sequence[Outcome], folder: Path | None) -> Subject:
    results = {one.cell.name: one.result for one in outcomes if one.result}
    every = {check.id: check for result in results.values() for check in result.checks}
    checks = tuple(every[name] for name in sorted(every))
    shown = next(iter(results.values()), None)
    figures = _side_by_side(results)
    return Subject(
        title=_title(shown) if shown else title,
        anchor=anchor,
        rows=tuple(_row(one, checks, folder) for one in outcomes),
        checks=checks,
        scores=scores_by_measure(results),
        figures=figures,
        shown=shown,
        photos=pair_views.photos_of(shown, figures) if shown else {},
    )


def _title(result: Result) -> str:
    """Model and data, as they were found."""
    return f"{words.model_phrase(result)} on {words.data_phrase(result)}"


def _row(outcome: Outcome, checks: Sequence[CheckResult], folder: Path | None) -> Row:
    result = outcome.result
    said = {c.id: statuses.status_of(c) for c in result.checks} if result else {}
    link = ""
    if result and folder is not None:
        report = Path(outcome.cell.settings.out) / "report.html"
        link = quote(Path(os.path.relpath(report, folder)).as_posix())
    cells = tuple(said.get(check.id) for check in checks)
    return Row(outcome, cells, link, reduced(outcome.cell.name))


def _side_by_side(results: Mapping[str, Result]) -> tuple[PairFigure, ...]:
    """Maps of some pairs that every audit shows, each on a scale of its own."""
    maps = {
        name: {card.pair: card.maps[0].values for card in result.gallery if card.maps}
        for name, result in results.items()
    }
    common = [
        pair for pair in next(iter(maps.values()), {}) if all(pair in own for own in maps.values())
    ]
    chosen = [common[i] for i in evenly_spaced(len(common), PAIRS_SHOWN)] if common else []
    return side_by_side(chosen, maps)


def side_by_side(
    pairs: Iterable[str], maps: Mapping[str, Mapping[str, Sequence[Sequence[float | None]]]]
) -> tuple[PairFigure, ...]:
    """The maps of all explainers of each pair.

    Args:
        pairs: their ids.
        maps: by explainer and pair.
    """
    return tuple(
        PairFigure(
            title="",
            caption="",
            pair=pair,
            maps=[
                NamedMap(title=name, values=[list(row) for row in own[pair]])
                for name, own in maps.items()
                if pair in own
            ],
        )
        for pair in pairs
    )
