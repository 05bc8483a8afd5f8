"""``audit map``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say


@click.command("map")
@click.option(
    "--explainer",
    "-e",
    required=True,
    help="A registered name, FILE.py:FUNCTION or MODULE:FUNCTION.",
)
@shared.options_option
@click.option(
    "--image",
    "images",
    required=True,
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Picture file; with --grid N, N x N of them, row by row, that of the text first.",
)
@shared.grid_option
@click.option(
    "--text", required=True, help="The text, or name of a class, whose score is explained."
)
@click.option(
    "--text-map",
    is_flag=True,
    help="Draw the text as well, its words from red over white to green.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("map.png"),
    show_default=True,
    help="PNG file with the picture and the map.",
)
@shared.model_options
def map_(
    explainer: str,
    options: dict[str, str],
    images: tuple[str, ...],
    grid: int | str | None,
    text: str,
    out: Path,
    *,
    text_map: bool,
    **given: Any,
) -> None:
    """Draw the map of your own picture and text."""
    with exit_codes():
        from audit.explainers.written_explainers import expect_written
        from audit.models.written_models import BUNDLED, expect_written_model
        from audit.reports.output import writable

        writable(out.parent)
        known = {key: value for key, value in given.items() if value is not None}
        explainer, notes = shared.explainer_now(explainer)
        shared.print_notes(notes)
        expect_written(explainer, options)
        expect_written_model(known.get("model", BUNDLED), known.get("pretrained"))
        from audit.engine.overlay import write_overlay

        cells = grid if isinstance(grid, int) else 1
        pictures = [Path(image) for image in images]
        said = write_overlay(
            explainer, options, pictures, text, out, known, grid=cells, text_map=text_map
        )
    say(f"{out}: {said}")
