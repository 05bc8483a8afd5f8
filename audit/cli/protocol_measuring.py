"""What ``audit benchmark --protocol`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from audit.cli import shared_options as shared
from audit.cli.printing import say, say_lines


def measure_protocol(
    name: str,
    explainers: Sequence[str],
    models: Sequence[str],
    weights: Sequence[str],
    sources: Sequence[str],
    given: Mapping[str, Any],
) -> None:
    """Measure the explainers of a paper's table on each model and data, print and write it.

    Args:
        name: of the protocol.
        explainers: others beside its own.
        models: names; none for that of the settings.
        weights: as ``audit benchmark`` takes them.
        sources: of data.
        given: other settings of the command line.

    Raises:
        ValueError: an unknown name, or wrong settings.
        OutputError: the folder cannot be written to, or another process writes to it.
    """
    from audit.cli.progress_bars import progress_bars
    from audit.config.settings_file import load_settings
    from audit.engine.benchmarking import subjects_of
    from audit.engine.output_lock import locked
    from audit.engine.protocol_presets import preset_named
    from audit.engine.protocol_reports import write_protocol
    from audit.engine.protocol_runs import run_protocol_of
    from audit.engine.protocol_tables import lines_of
    from audit.former_names import present_explainer
    from audit.reports.output import writable

    preset = preset_named(name)
    settings = load_settings({"samples": preset.pairs, **given, "history": False})
    shared.print_notes(settings.notes)
    folder = writable(Path(settings.out))
    more = [present_explainer(one)[0] for one in explainers]
    subjects = subjects_of(models, weights, sources, settings)
    runs = []
    with locked(folder):
        for subject in subjects:
            own = settings.model_copy(update=subject)
            with progress_bars() as progress:
                runs.append(run_protocol_of(preset, own, more, progress))
            say_lines(lines_of(preset, runs[-1]))
        page = write_protocol(preset, runs, folder)
    say(f"page: {page}; tables: {folder / name}.csv, {folder / name}.tex")
