"""``audit equivalence``."""

from __future__ import annotations

import sys
from typing import Any

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import VIOLATED, exit_codes
from audit.cli.printing import say, verdict_stands


@click.command()
@click.argument("one")
@click.argument("other")
@click.option("--samples", type=int, default=64, show_default=True, help="Number of pairs.")
@shared.model_options
@shared.source_options
def equivalence(one: str, other: str, samples: int, **given: Any) -> None:
    """Compare the maps of two explainers.

    On every pair; exit code 1 if they differ.
    """
    with exit_codes():
        from audit.config.settings_file import load_settings
        from audit.engine.early_look import expect_known

        settings = load_settings({**given, "explainer": one, "samples": samples})
        other, notes = shared.explainer_now(other)
        shared.print_notes([*settings.notes, *notes])
        expect_known(settings, also=(other,))
        from audit.engine.equivalence import compare_explainers

        found = compare_explainers(settings, other)
    with verdict_stands():
        say(found.sentence)
    sys.exit(0 if found.equivalent else VIOLATED)
