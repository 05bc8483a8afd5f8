"""``audit check``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.cli import shared_options as shared
from audit.cli.audited_options import audited_options
from audit.cli.exit_codes import exit_codes
from audit.cli.printing import say, say_message, verdict_stands
from audit.cli.result_files import show_result

if TYPE_CHECKING:
    from audit.reports.terminal import Detail


@click.command()
@audited_options
@shared.detail_options
@click.option("--show-settings", is_flag=True, help="Print the settings and exit.")
@click.option(
    "--settings-schema", is_flag=True, help="Print the JSON schema of the settings and exit."
)
def check(
    *, show_settings: bool, settings_schema: bool, detail: Detail | None, **given: Any
) -> None:
    """Audit an explainer; the exit code is the gate.

    0 no violation, 1 violations, 2 wrong usage or settings, 3 the audit could not be completed.
    """
    with exit_codes():
        from audit.config.settings_file import load_settings
        from audit.config.settings_file import settings_schema as schema

        if settings_schema:
            _print_json(schema())
            return
        settings = load_settings(given)
        shared.print_notes(settings.notes)
        if show_settings:
            _print_json(settings.model_dump(mode="json"))
            return
        from audit.cli.progress_bars import progress_bars
        from audit.engine.checking import check_explainer

        with progress_bars() as progress:
            result, note = check_explainer(settings, progress)
    with verdict_stands():
        show_result(result, Path(settings.out), settings.formats, detail or "usual")
    reused = ", ".join(result.timing.reused)
    resumed = f"went on from an interrupted audit, which had measured {reused}" if reused else ""
    shared.print_notes(text for text in (resumed, note) if text)
    for failure in result.failures:
        say_message(f"{failure.where}: {failure.message}")
    sys.exit(result.exit_code)


def _print_json(document: object) -> None:
    say(json.dumps(document, indent=2))
