"""``audit init``."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.exit_codes import exit_codes


@click.command()
@click.option(
    "--explainer", "-e", default="grad-attention", show_default=True, help="The explainer to audit."
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
def init(*, explainer: str, force: bool) -> None:
    """Write an audit.toml and a CI workflow."""
    with exit_codes():
        from audit.engine.project_start import start

        written = start(Path(), explainer, force=force)
    for path in written:
        click.echo(f"wrote {path}")
    click.echo("next: audit check")
