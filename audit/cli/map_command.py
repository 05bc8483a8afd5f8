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
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Picture file.",
)
@click.option(
    "--text", required=True, help="The text, or name of a class, whose score is explained."
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
    explainer: str, options: dict[str, str], image: str, text: str, out: Path, **given: Any
) -> None:
    """Draw the map of your own picture and text."""
    with exit_codes():
        from audit.engine.overlay import write_overlay
        from audit.reports.output import writable

        writable(out.parent)
        known = {key: value for key, value in given.items() if value is not None}
        explainer, notes = shared.explainer_now(explainer)
        shared.print_notes(notes)
        score, score_name = write_overlay(explainer, options, Path(image), text, out, known)
    say(f"{out}: {score_name} {score:.4f}")
