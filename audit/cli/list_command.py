"""``audit list``."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.exit_codes import exit_codes, fail
from audit.cli.printing import say

LISTED = ("explainers", "checks", "models", "datasets", "quality", "catalogue")


@click.command("list")
@click.argument("what", type=click.Choice(LISTED))
@click.argument("source", required=False)
@click.option("--write", metavar="FILE", help="Write the catalogue between a file's markers.")
def list_(what: str, source: str | None, write: str | None) -> None:
    """List explainers, checks, models, datasets or measures of map quality.

    'audit list models' shows where models come from, 'audit list models timm' names those of timm.

    The catalogue is checks, explainers and measures as Markdown; --write brings a file up to date.
    """
    with exit_codes():
        from audit.engine import listing

        if source is not None:
            if what != "models":
                fail(f"'{source}' goes with 'audit list models', not with '{what}'")
            say("\n".join(listing.models_of(source)))
            return
        if write is None:
            say("\n".join(listing.LISTS[what]()))
            return
        if what != "catalogue":
            fail(f"--write goes with 'audit list catalogue', not with '{what}'")
        changed = listing.write_catalogue(Path(write))
    say(f"{write}: {'brought up to date' if changed else 'is up to date'}")
