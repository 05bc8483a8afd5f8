"""The command ``audit`` with its commands; torch is imported only when work begins."""

from __future__ import annotations

import click

from audit import __version__
from audit.cli.check_command import check
from audit.cli.compare_command import compare
from audit.cli.equivalence_command import equivalence
from audit.cli.explain_command import explain
from audit.cli.history_command import history
from audit.cli.init_command import init
from audit.cli.list_command import list_
from audit.cli.map_command import map_
from audit.cli.report_command import report


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    commands=(check, compare, equivalence, explain, history, init, list_, map_, report),
)
@click.version_option(__version__, prog_name="audit")
def main() -> None:
    """Audit an explainer: does its saliency map explain the model that it claims to explain?"""
