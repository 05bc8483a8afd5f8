"""``audit init``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say


@click.command()
@click.option(
    "--explainer", "-e", default="grad-attention", show_default=True, help="The explainer to audit."
)
@click.option(
    "--action",
    metavar="OWNER/REPO@REF",
    help="Repository of the GitHub action, or its folder in yours as ./FOLDER.",
)
@click.option("--gitlab", is_flag=True, help="Write the job of GitLab too.")
@click.option("--pre-commit", is_flag=True, help="Write the settings of pre-commit too.")
@click.option(
    "--checkout",
    metavar="ADDRESS@REV",
    help="Repository of explainer-audit for these two: an address, or a folder.",
)
@click.option(
    "--matrix",
    is_flag=True,
    help="A workflow of several models, data and seeds, summed up.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def init(*, explainer: str, force: bool, **wanted: Any) -> None:
    """Write an audit.toml, a CI workflow and a .gitignore."""
    with exit_codes():
        from audit.engine.project_start import Wanted, start

        told = start(Path(), explainer, Wanted(**wanted), force=force)
    say("\n".join([*told, "next: audit check"]))
