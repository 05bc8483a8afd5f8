"""``audit report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import exit_codes, fail
from audit.cli.result_files import read_result, result_file, show_result

if TYPE_CHECKING:
    from audit.reports.terminal import Detail


@click.command()
@click.argument("result", type=result_file, required=False)
@click.option("--latest", is_flag=True, help="The newest result of the history.")
@click.option("--explainer", "-e", help="With --latest: of this explainer.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the reports; default: beside the result, or .audit/report with --latest.",
)
@shared.formats_option
@shared.pictures_options
@shared.detail_options
def report(
    *,
    result: str | None,
    latest: bool,
    explainer: str | None,
    out: Path | None,
    formats: tuple[str, ...],
    pictures: int | None,
    detail: Detail | None,
) -> None:
    """Render a result again."""
    with exit_codes():
        from audit.gate.history import latest as latest_result
        from audit.reports.output import known_formats, writable, write_reports
        from audit.result.shown_pairs import with_pictures

        if (result is None) != latest:
            fail("expected either a RESULT.json or --latest")
        if explainer and not latest:
            fail("--explainer chooses from the history: give --latest with it, or leave it out")
        formats = formats or ("html",)
        known_formats(formats)
        path = latest_result(Path.cwd(), explainer) if result is None else Path(result)
        document = with_pictures(read_result(path), pictures)
        folder = writable(out or (Path(".audit", "report") if latest else path.parent))
        write_reports(document, folder, formats)
    show_result(document, folder, formats, detail or "usual")
