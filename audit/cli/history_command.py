"""``audit history``."""

from __future__ import annotations

from pathlib import Path

import click

from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say, say_lines
from audit.cli.result_files import read_result, result_file


@click.command()
@click.option("--explainer", "-e", help="Only of this explainer.")
@click.option("--add", multiple=True, type=result_file, help="Keep this result; repeatable.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the trend.")
@click.option(
    "--last", type=click.IntRange(min=1), default=50, show_default=True, help="Audits in the trend."
)
@click.option("--commit-url", default="", help="URL of a commit, with {} for its hash.")
def history(
    *, explainer: str | None, add: tuple[str, ...], html: Path | None, last: int, commit_url: str
) -> None:
    """List earlier audits, or write their trend.

    The newest comes last. With --html, the verdicts, quality and accuracy of one explainer over
    its audits, as one offline page.
    """
    with exit_codes():
        from audit.gate import history as past

        for path in add:
            past.keep(read_result(path), Path.cwd())
        if html is None:
            lines = [past.entry_line(entry) for entry in past.entries(Path.cwd(), explainer)]
            say_lines(lines or [past.none_found(Path(), explainer)])
            return
        from audit.engine.trend import write_trend
        from audit.reports.output import writable

        writable(html.parent, "--html")
        shown = write_trend(html, Path.cwd(), explainer, last=last, commit_url=commit_url)
    say(f"{html}: the trend over {shown} audit{'' if shown == 1 else 's'}")
