"""The options of an audit, for the commands that run one or say what it would take."""

from __future__ import annotations

import click

from audit.cli import shared_options as shared
from audit.cli.option_groups import limit_options, together
from audit.cli.quality_option import quality_option

audited_options = together(
    (
        click.option(
            "--explainer", "-e", help="A registered name, FILE.py:FUNCTION or MODULE:FUNCTION."
        ),
        shared.options_option,
        shared.model_options,
        shared.ladder_option,
        shared.data_options,
        quality_option,
        shared.judging_options,
        shared.gate_options,
        limit_options,
        shared.output_options,
        shared.pictures_options,
    )
)
