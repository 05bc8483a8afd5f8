"""``audit equivalence``."""

from __future__ import annotations

import sys
from typing import Any

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import VIOLATED, exit_codes
from audit.cli.printing import say_lines, verdict_stands


@click.command()
@click.argument("one")
@click.argument("others", nargs=-1, metavar="OTHER…")
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Compare with all built-in explainers too; costly ones at cheaper settings.",
)
@click.option("--samples", type=int, default=64, show_default=True, help="Number of pairs.")
@shared.several_models
@shared.source_options
def equivalence(
    one: str,
    others: tuple[str, ...],
    samples: int,
    models: tuple[str, ...],
    weights: tuple[str, ...],
    *,
    every: bool,
    **given: Any,
) -> None:
    """Find the explainers that draw the same maps.

    They are compared in double precision on every pair: equal maps, maps that are the same up to a
    factor or an offset, and maps that rank patches alike. Without a second --model they are
    compared on one of the same architecture with other weights, too. Exit code 1 unless all are
    equivalent.
    """
    with exit_codes():
        from audit.config.settings_file import load_settings
        from audit.engine.early_look import expect_known, expect_others

        settings = load_settings({**given, "explainer": one, "samples": samples})
        named, notes = expect_others(settings.explainer, others, every=every)
        shared.print_notes([*settings.notes, *notes])
        expect_known(settings, also=named)
        from audit.engine.benchmarking import subjects_of
        from audit.engine.equivalence import compare_explainers

        subjects = [
            {key: value for key, value in subject.items() if key != "data"}
            for subject in subjects_of(models, weights, (), settings)
        ]
        found = compare_explainers(settings, named, subjects=subjects)
    with verdict_stands():
        say_lines(found.lines())
    sys.exit(0 if found.equivalent else VIOLATED)
