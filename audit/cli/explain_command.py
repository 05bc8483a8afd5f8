"""``audit explain``."""

from __future__ import annotations

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say


@click.command()
@click.argument("check_id", metavar="CHECK")
def explain(check_id: str) -> None:
    """Explain a check.

    What it does, why it matters, how to fix a violation, and what a pass does not show.
    """
    with exit_codes():
        from audit.engine.listing import explained

        say(explained(check_id))
