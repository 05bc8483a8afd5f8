"""``audit benchmark``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from audit.cli import shared_options as shared
from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say, say_lines, verdict_stands
from audit.cli.protocol_measuring import measure_protocol
from audit.cli.quality_option import quality_option


@click.command()
@click.argument("explainers", nargs=-1, metavar="EXPLAINER…")
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="All built-in explainers, controls included; costly ones at cheaper settings.",
)
@click.option(
    "--protocol",
    metavar="NAME",
    help="Measure a paper's table anew and judge nothing: grad-eclip (deletion and insertion "
    "beside the published numbers) or caap (ablation of blocks, neutral pictures and spatial "
    "support); explainers are added to it.",
)
@shared.several_subjects
@quality_option
@shared.judging_options
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    help="Lowest severity at which a violation fails.",
)
@click.option("--strict", is_flag=True, default=None, help="INCONCLUSIVE fails as well.")
@click.option("--timeout", type=float, help="Seconds that one call of an explainer may take.")
@click.option("--memory", metavar="SIZE", help="Memory that an explainer may hold, such as 8GiB.")
@click.option(
    "--out",
    default="audit-benchmark",
    show_default=True,
    metavar="FOLDER",
    help="Folder for the page, the tables and a folder of each audit.",
)
@shared.pictures_options
@click.option(
    "--resume/--no-resume", default=None, help="Keep the audits that an interrupted one finished."
)
def benchmark(
    *,
    explainers: tuple[str, ...],
    every: bool,
    protocol: str | None,
    models: tuple[str, ...],
    weights: tuple[str, ...],
    sources: tuple[str, ...],
    **given: Any,
) -> None:
    """Audit several explainers and compare them on one page.

    Each is audited on each model and its data; what depends on these alone is measured once. The
    exit code is the gravest of the audits: 0 no violation, 1 violations, 2 wrong usage, 3 an audit
    could not be completed. With --protocol nothing is judged.
    """
    with exit_codes():
        from audit.cli.progress_bars import progress_bars
        from audit.config.settings_file import load_settings
        from audit.engine.benchmark_cells import cells
        from audit.engine.benchmarking import named_explainers, run_benchmark, subjects_of

        if protocol:
            given = {k: v for k, v in given.items() if v is not None}
            measure_protocol(protocol, explainers, models, weights, sources, given)
            return
        names, notes = named_explainers(explainers, every=every)
        settings = load_settings({**given, "history": False, "formats": ("html", "json")})
        shared.print_notes([*settings.notes, *notes])
        folder = Path(settings.out)
        asked = cells(names, subjects_of(models, weights, sources, settings), settings)
        with progress_bars() as progress:
            found = run_benchmark(asked, folder, progress)
        from audit.engine.benchmark_reports import write_benchmark

        written = write_benchmark(found, folder)
    with verdict_stands():
        say_lines(found.lines())
        say(f"exit code {found.exit_code}; page: {written}")
    sys.exit(found.exit_code)
