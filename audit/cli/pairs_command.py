"""``audit pairs``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say


@click.command()
@shared.model_options
@shared.data_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("audit-pairs"),
    show_default=True,
    help="Folder for pairs.csv, inputs.npz and the pictures.",
)
def pairs(*, out: Path, **given: Any) -> None:
    """Write the pairs of an audit, grids too, so that maps of them can be drawn elsewhere.

    'audit check --explainer maps:FILE.npz' audits such maps.
    """
    with exit_codes():
        from audit.cli.progress_bars import progress_bars
        from audit.config.settings_file import load_settings
        from audit.engine.early_look import expect_known
        from audit.reports.output import writable

        settings = load_settings({**given, "history": False})
        shared.print_notes(settings.notes)
        expect_known(settings)
        from audit.engine.pair_export import export_pairs

        with progress_bars() as progress:
            found = export_pairs(settings, writable(out), progress)
    say(f"{out}: {found.pairs} pairs of {found.pictures} pictures")
    say("Save a map for each key: np.savez('maps.npz', keys=keys, maps=maps). Then:")
    say(found.command)
