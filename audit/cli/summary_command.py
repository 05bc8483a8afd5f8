"""``audit summary``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say, say_lines, verdict_stands
from audit.cli.result_files import read_result, result_file


@click.command()
@click.argument("results", nargs=-1, required=True, type=result_file, metavar="RESULT…")
@click.option(
    "--out",
    default="audit-summary",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for summary.md and badge.svg.",
)
@click.option(
    "--gate",
    type=click.Choice(["worst", "median"]),
    default="worst",
    show_default=True,
    help="Which run of each explainer, model and data decides the exit code.",
)
def summary(*, results: tuple[str, ...], out: Path, gate: str) -> None:
    """Sum up several results: repeated runs, models, data.

    Runs that differ in the seed alone are one group, of which the median and the worst are told.
    Writes summary.md, such as for the comment of a pull request, and badge.svg.
    """
    with exit_codes():
        from audit.reports import repeated_runs as runs
        from audit.reports.output import writable, write_whole

        every = runs.groups(read_result(path) for path in results)
        writable(out)
        write_whole(out / "summary.md", runs.render_summary(every))
        write_whole(out / "badge.svg", runs.summary_badge(every))
        codes = [group.worst if gate == "worst" else group.middle for group in every]
    code = next(c for c in (3, 1, 0) if c in codes)
    with verdict_stands():
        say_lines(runs.summary_lines(every))
        say(f"exit code {code}, by the {gate} run; written: {out / 'summary.md'}")
    sys.exit(code)
