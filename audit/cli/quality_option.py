"""The option ``--quality``."""

from __future__ import annotations

import click

from audit.cli.option_values import words_of

quality_option = click.option(
    "--quality",
    multiple=True,
    callback=words_of,
    metavar="NAME[,NAME…]",
    help="Measures of map quality: the first decides, the rest stand beside it; 'audit list "
    "quality' names all.",
)
