"""A protocol's numbers beside those that others give: for a terminal, as CSV and as LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from audit.engine.benchmark_tables import ESCAPED, rows_as_csv
from audit.engine.protocol_presets import Preset
from audit.engine.protocol_runs import ProtocolRun
from audit.metrics.quality_table import MEASURES, range_of
from audit.result.wording import counted
from audit.statistics.bootstrap import bootstrap_interval
from audit.statistics.estimate import Estimate
from audit.statistics.paired import paired_difference

TABLED: Final = {one.name: one for one in MEASURES}
ARROWS: Final = {"lower": "↓", "higher": "↑", "neither": ""}
_COLUMNS: Final = (
    *("protocol", "model", "data", "pairs", "explainer", "measure", "mean", "low", "high"),
    *("published", "reproduced", "behind", "behind_low", "behind_high"),
)


@dataclass(frozen=True)
class Cell:
    """One explainer by one measure.

    Attributes:
        explainer: its spec.
        measure: name of the measure.
        mean: over the pairs, with its interval of 95 %.
        behind: how far it is behind the protocol's first explainer on the same pairs, positive for
            worse; None for that one itself.
        published: what the paper gives, None where it gives nothing.
        reproduced: what a reproduction gives.
    """

    explainer: str
    measure: str
    mean: Estimate
    behind: Estimate | None
    published: float | None
    reproduced: float | None


def cells_of(preset: Preset, run: ProtocolRun) -> list[Cell]:
    """What is to be said of each explainer by each measure, in the order of the protocol."""
    clusters = np.array(run.clusters)
    first = next(iter(run.values.values()), {})
    return [
        _cell(preset, name, measure, np.array(own[measure]), np.array(first[measure]), clusters)
        for name, own in run.values.items()
        for measure in preset.measures
        if measure in own
    ]


def _cell(
    preset: Preset,
    name: str,
    measure: str,
    values: np.ndarray,
    reference: np.ndarray,
    clusters: np.ndarray,
) -> Cell:
    rng = np.random.default_rng(0)
    sign = -1.0 if TABLED[measure].better == "lower" else 1.0
    stated = preset.stated.get(name, {}).get(measure)
    behind = None
    if name != preset.explainers[0]:
        behind = paired_difference(sign * reference, sign * values, clusters=clusters, rng=rng)
    mean = bootstrap_interval(values, clusters=clusters, rng=rng)
    least, most = range_of(TABLED[measure].title)
    return Cell(
        name,
        measure,
        replace(mean, low=max(mean.low, least), high=min(mean.high, most)),
        behind,
        stated.published if stated else None,
        stated.reproduced if stated else None,
    )


def lines_of(preset: Preset, run: ProtocolRun) -> Iterator[str]:
    """For a terminal: a table of each measure, then what has to be known of it."""
    cells = cells_of(preset, run)
    yield f"{preset.name}: {counted(len(run.clusters), 'pair')} of {run.data}, {run.model}"
    for measure in preset.measures:
        own = [cell for cell in cells if cell.measure == measure]
        if own:
            row = TABLED[measure]
            yield ""
            yield from _aligned(
                [_head(preset, f"{row.title} {ARROWS[row.better]}".rstrip())]
                + [_row(preset, cell) for cell in own]
            )
    yield ""
    yield f"behind: than {preset.explainers[0]} on the same pairs; intervals of 95 %"
    for name, why in run.left_out.items():
        yield f"left out: {name}: {why}"
    yield from preset.notes


def _head(preset: Preset, title: str) -> list[str]:
    stated = ["published", "reproduced"] if preset.stated else []
    return [title, "mean", "interval", *stated, "behind", "interval"]


def _row(preset: Preset, cell: Cell) -> list[str]:
    stated = [cell.published, cell.reproduced] if preset.stated else []
    return [
        cell.explainer,
        f"{cell.mean.value:.4f}",
        _interval(cell.mean),
        *(f"{value:.4f}" if value is not None else "–" for value in stated),
        f"{cell.behind.value:+.4f}" if cell.behind else "–",
        _interval(cell.behind) if cell.behind else "–",
    ]


def _interval(estimate: Estimate) -> str:
    if np.isnan(estimate.low):
        return "–"
    return f"[{estimate.low:.4f}, {estimate.high:.4f}]"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = (
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([first, *others]).rstrip()


def csv_of(preset: Preset, run: ProtocolRun) -> str:
    """One row for each explainer and measure."""
    return rows_as_csv(_COLUMNS, [_csv_row(preset, run, cell) for cell in cells_of(preset, run)])


def _csv_row(preset: Preset, run: ProtocolRun, cell: Cell) -> dict[str, object]:
    mean, behind = cell.mean, cell.behind
    known = (preset.name, run.model, run.data, len(run.clusters), cell.explainer, cell.measure)
    late = (behind.value, behind.low, behind.high) if behind else (None, None, None)
    stated = (cell.published, cell.reproduced)
    values = (*known, mean.value, mean.low, mean.high, *stated, *late)
    return dict(zip(_COLUMNS, values, strict=True))


def latex_of(preset: Preset, run: ProtocolRun) -> str:
    """One row for each explainer, means with what others give in parentheses."""
    measures = [m for m in preset.measures if any(m in own for own in run.values.values())]
    cells: Mapping[tuple[str, str], Cell] = {
        (cell.explainer, cell.measure): cell for cell in cells_of(preset, run)
    }
    head = ["explainer", *(TABLED[m].title for m in measures)]
    lines = [rf"\begin{{tabular}}{{l{'r' * len(measures)}}}", r"\hline", _joined(head), r"\hline"]
    for name in run.values:
        row = [name]
        for measure in measures:
            cell = cells[name, measure]
            given = "" if cell.published is None else f" ({cell.published:.4f})"
            row.append(f"{cell.mean.value:.4f}{given}")
        lines.append(_joined(row))
    return "\n".join([*lines, r"\hline", r"\end{tabular}", ""])


def _joined(row: Sequence[str]) -> str:
    return " & ".join(text.translate(ESCAPED) for text in row) + r" \\"
