"""What ``audit check`` does, without printing: look ahead, audit or judge again, write, keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audit.config.settings import Settings, SettingsError
from audit.engine.baseline_revision import with_baseline_of_revision
from audit.engine.progress import silent
from audit.engine.state_folder import ignored_by_git
from audit.errors import IncompleteError
from audit.reports.output import known_formats, writable, write_reports, write_whole
from audit.result.schema import Result

if TYPE_CHECKING:
    from audit.evidence.context import Progress


def check_explainer(settings: Settings, progress: Progress = silent) -> tuple[Result, str]:
    """Audit as the settings say, and write reports, attestation and history.

    Args:
        settings: what to audit and how.
        progress: told how far the work is.

    Returns:
        The result, and a note where the history could not be kept.

    Raises:
        ValueError: wrong settings (subclasses say which).
        OutputError: a place that cannot be written to, found before the work begins.
        IncompleteError: interrupted, or the disk is full.
    """
    if not settings.explainer and not settings.from_evidence:
        raise SettingsError(
            "no explainer given; use --explainer NAME ('audit list explainers' shows all)"
        )
    known_formats(settings.formats)
    ignored_by_git(Path(settings.out))
    out = writable(Path(settings.out))
    if settings.attest:
        writable(Path(settings.attest).parent, "--attest")
    result = _result(with_baseline_of_revision(settings), progress)
    write_reports(result, out, ("json", *settings.formats))
    if settings.attest:
        from audit.gate.attestation import render_attestation

        write_whole(Path(settings.attest), render_attestation(result))
    return result, _keep(result) if settings.history else ""


def _result(settings: Settings, progress: Progress) -> Result:
    if settings.from_evidence:
        from audit.engine.rejudging import rejudge

        return rejudge(Path(settings.from_evidence), settings)
    try:
        from audit.engine.auditing import run_audit

        return run_audit(settings, progress).result
    except KeyboardInterrupt as error:
        raise IncompleteError(
            f"interrupted; finished evidence is kept in '{settings.out}/evidence', the same "
            "command goes on from there"
        ) from error


def _keep(result: Result) -> str:
    from audit.gate.history import keep

    try:
        keep(result, Path.cwd())
    except OSError as error:
        return f"the history was not kept: {error}"
    return ""
