"""``audit compare``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say, say_lines, verdict_stands
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
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the comparison as a page.",
)
def compare(*, old: str, new: str, strict: bool, fail_on: str, html: Path | None) -> None:
    """Compare the results of two releases.

    Exit code 1 if a verdict got worse, or a check is no longer there.

    The last line sums up and names the exit code. Lines with ! fail. Lines with ~ got worse but do
    not fail: they are warnings, waived, or lower quality without --strict.
    """
    with exit_codes():
        from audit.engine.comparison import compare_results
        from audit.result.finding import Severity

        one, two = read_result(old), read_result(new)
        found = compare_results(one, two, fail_on=Severity(fail_on), strict=strict)
        if html is not None:
            from audit.engine.comparison_page import Release, write_comparison
            from audit.reports.output import writable

            writable(html.parent, "--html")
            write_comparison(html, Release(one, Path(old)), Release(two, Path(new)), found)
    with verdict_stands():
        say_lines(found.lines)
        if html is not None:
            say(f"page: {html}")
    sys.exit(found.exit_code)
