"""``audit map``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say_lines


@click.command("map")
@click.option(
    "--explainer",
    "-e",
    "explainers",
    multiple=True,
    help="A registered name, FILE.py:FUNCTION or MODULE:FUNCTION; repeatable, side by side.",
)
@shared.options_option
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Picture file; with --grid N, N x N of them, row by row, that of the text first.",
)
@shared.grid_option
@click.option(
    "--text",
    "texts",
    required=True,
    multiple=True,
    help="The text, or name of a class, whose score is explained; repeatable, a row each.",
)
@click.option(
    "--text-map",
    is_flag=True,
    help="Draw the text as well, its words from red over white to green.",
)
@click.option(
    "--compose",
    is_flag=True,
    help="Join the texts, or take the one that has all words of the others, and show how far its "
    "map is the sum of theirs.",
)
@click.option(
    "--segment",
    is_flag=True,
    help="Show the object that each map outlines (seeds by quantiles, a graph cut) and its box.",
)
@click.option(
    "--mask",
    type=click.Path(exists=True, dir_okay=False),
    help="A picture of the object, which --segment is compared with.",
)
@click.option(
    "--visualize",
    is_flag=True,
    help="No picture given: show the one that the model scores highest for each text.",
)
@click.option(
    "--steps", type=int, default=200, show_default=True, help="With --visualize, of ascent."
)
@click.option(
    "--decay",
    type=float,
    default=1e-4,
    show_default=True,
    help="With --visualize, the weight of the picture's squared length against the logit.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("map.png"),
    show_default=True,
    help="PNG file with picture and maps, or an HTML page of them.",
)
@shared.model_options
def map_(
    explainers: tuple[str, ...],
    options: dict[str, str],
    images: tuple[str, ...],
    grid: int | str | None,
    texts: tuple[str, ...],
    out: Path,
    mask: str | None,
    steps: int,
    decay: float,
    *,
    text_map: bool,
    compose: bool,
    segment: bool,
    visualize: bool,
    **given: Any,
) -> None:
    """Draw maps of your own picture and texts, of one or several explainers side by side."""
    with exit_codes():
        from audit.explainers.written_explainers import expect_written
        from audit.models.written_models import BUNDLED, expect_written_model
        from audit.reports.output import writable

        writable(out.parent)
        known = {key: value for key, value in given.items() if value is not None}
        expect_written_model(known.get("model", BUNDLED), known.get("pretrained"))
        if visualize:
            from audit.engine.overlay import write_visualization

            said = write_visualization(texts, out, known, steps=steps, decay=decay)
        else:
            named = [shared.explainer_now(one) for one in explainers]
            shared.print_notes(note for _, notes in named for note in notes)
            for name, _ in named:
                expect_written(name, options if len(named) == 1 else {})
            from audit.engine.map_request import MapRequest
            from audit.engine.overlay import write_overlay

            request = MapRequest(
                explainers=tuple(name for name, _ in named),
                options=options,
                pictures=images,
                texts=texts,
                grid=grid if isinstance(grid, int) else 1,
                text_map=text_map,
                compose=compose,
                segment=segment,
                mask=mask or "",
            )
            said = write_overlay(request, out, known)
    say_lines([f"{out}: {said[0]}", *said[1:]])
