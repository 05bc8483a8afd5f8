"""``audit compare``."""

from __future__ import annotations

import sys

import click

from audit.cli.exit_codes import VIOLATED, exit_codes
from audit.cli.printing import say_lines, verdict_stands
from audit.cli.result_files import read_result, result_file


@click.command()
@click.argument("old", type=result_file)
@click.argument("new", type=result_file)
@click.option("--strict", is_flag=True, help="Lower quality of the maps fails as well.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="error",
    show_default=True,
    help="Lowest severity at which a violation fails.",
)
def compare(*, old: str, new: str, strict: bool, fail_on: str) -> None:
    """Compare the results of two releases.

    Exit code 1 if a verdict got worse, or a check is no longer there.

    Lines with ! fail. Lines with ~ got worse but do not fail: they are warnings, waived, or lower
    quality without --strict.
    """
    with exit_codes():
        from audit.engine.comparison import compare_results
        from audit.result.finding import Severity

        one, two = read_result(old), read_result(new)
        found = compare_results(one, two, fail_on=Severity(fail_on), strict=strict)
    with verdict_stands():
        say_lines(found.lines)
    sys.exit(VIOLATED if found.worse else 0)
