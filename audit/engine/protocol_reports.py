"""The files of a protocol: one offline page, and its tables as CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audit.engine.benchmark_page import side_by_side
from audit.engine.protocol_presets import Preset
from audit.engine.protocol_runs import ProtocolRun
from audit.engine.protocol_store import finish
from audit.engine.protocol_tables import ARROWS, TABLED, Cell, cells_of, csv_of, latex_of
from audit.reports.html import render_page
from audit.reports.output import write_whole
from audit.reports.pair_views import Photo, photos_of
from audit.result.figures import PairFigure
from audit.version import __version__


@dataclass(frozen=True)
class SubjectView:
    """A model and its data on the page.

    Attributes:
        run: what was measured.
        anchor: on the page.
        cells: by the title of each measure, those of the explainers in their order.
        figures: maps of the same pairs side by side.
        photos: the pictures of these pairs.
    """

    run: ProtocolRun
    anchor: str
    cells: Mapping[str, Sequence[Cell]]
    figures: Sequence[PairFigure]
    photos: Mapping[str, Photo]


def render_protocol(preset: Preset, runs: Sequence[ProtocolRun], started: str = "") -> str:
    """Render what was measured as one self-contained page.

    Args:
        preset: the protocol.
        runs: of each model and its data.
        started: when, in words.
    """
    subjects = [_view(preset, run, number) for number, run in enumerate(runs, 1)]
    return render_page(
        "protocol.html.j2",
        styles=("report.css", "trend.css", "benchmark.css"),
        preset=preset,
        subjects=subjects,
        version=__version__,
        started=started,
    )


def _view(preset: Preset, run: ProtocolRun, number: int) -> SubjectView:
    figures = side_by_side(run.shown.shown_pairs, run.maps)
    photos = photos_of(run.shown, figures)
    return SubjectView(run, f"subject-{number}", _by_measure(preset, run), figures, photos)


def _by_measure(preset: Preset, run: ProtocolRun) -> dict[str, list[Cell]]:
    cells = cells_of(preset, run)
    found = {}
    for measure in preset.measures:
        if own := [cell for cell in cells if cell.measure == measure]:
            row = TABLED[measure]
            found[f"{row.title} {ARROWS[row.better]}".rstrip()] = own
    return found


def write_protocol(
    preset: Preset, runs: Sequence[ProtocolRun], folder: Path, started: str = ""
) -> Path:
    """Write the page and the tables; the page's path. The next run measures everything anew.

    Raises:
        OutputWriteError: the disk is full, or the folder cannot be written to.
    """
    rows = [csv_of(preset, run).partition("\n") for run in runs]
    texts = {
        "csv": "".join(["".join(rows[0][:2]), *(body for _, _, body in rows)]),
        "tex": "".join(latex_of(preset, run) for run in runs),
        "html": render_protocol(preset, runs, started),
    }
    for suffix, text in texts.items():
        write_whole(folder / f"{preset.name}.{suffix}", text)
    for run in runs:
        finish(folder, run.key)
    return folder / f"{preset.name}.html"
