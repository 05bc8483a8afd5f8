"""``audit explain``."""

from __future__ import annotations

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say


@click.command()
@click.argument("name", metavar="CHECK|EXPLAINER")
def explain(name: str) -> None:
    """Explain a check or an explainer.

    Of a check what it does, why it matters, how to fix a violation, and what a pass does not show;
    of an explainer its definition and source, options, cost, and what of the model it modifies.
    """
    with exit_codes():
        from audit.engine.listing import explained

        say(explained(name))
