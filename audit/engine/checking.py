"""What ``audit check`` does, without printing: look ahead, audit or judge again, write, keep."""

from __future__ import annotations

from pathlib import Path

from audit.config.settings import Settings, SettingsError
from audit.engine.output_lock import locked
from audit.engine.progress import progress_bars
from audit.engine.supervision import Limits, WorkerEndedError, supervised
from audit.engine.worker_process import Job
from audit.errors import INCOMPLETE
from audit.reports.output import (
    forget_reports,
    known_formats,
    writable,
    write_reports,
    write_whole,
)
from audit.result.schema import Result


def check_explainer(settings: Settings) -> tuple[Result, str]:
    """Audit as the settings say, and write reports, attestation and history.

    Explainers run in a process of their own; this one keeps the result, the files and the exit
    code. An audit whose process ends otherwise has a result too: what was finished is judged, and
    the rest is an ERROR that says what happened.

    Returns:
        The result, and a note where the history could not be kept.

    Raises:
        ValueError: wrong settings (subclasses say which).
        OutputError: a place that cannot be written to, found before the work begins.
        OutputInUseError: another audit writes to the output folder.
        ReportedError: what the worker process raised.
        WorkerEndedError: it ended before there was anything to report.
        IncompleteError: the disk is full.
        KeyboardInterrupt: interrupted; finished evidence is kept.
    """
    if not settings.explainer and not settings.from_evidence:
        raise SettingsError(
            "no explainer given; use --explainer NAME ('audit list explainers' shows all)"
        )
    known_formats(settings.formats)
    home = Path.cwd()
    out = writable(home / settings.out)
    if settings.attest:
        writable(home / settings.attest.parent, "--attest")
    with locked(out):
        result = _result(settings, out)
        writable(out)
        write_reports(result, out, ("json", *settings.formats))
        if settings.attest:
            from audit.gate.attestation import render_attestation

            write_whole(home / settings.attest, render_attestation(result))
        if not settings.from_evidence and result.exit_code != INCOMPLETE:
            mark_finished(out / "evidence")
    return result, _keep(result, home) if settings.history else ""


def _result(settings: Settings, out: Path) -> Result:
    if settings.from_evidence:
        from audit.engine.rejudging import rejudge

        return rejudge(Path(settings.from_evidence), settings)
    job = Job("audit.engine.auditing:audited", {"settings": settings.model_dump(mode="json")})
    limits = Limits(settings.timeout, settings.memory_bytes)
    try:
        with progress_bars() as progress:
            return Result.model_validate(supervised(job, limits, progress))
    except WorkerEndedError as error:
        from audit.engine.unfinished import unfinished_result

        forget_reports(out)
        return unfinished_result(settings, error)


def _keep(result: Result, folder: Path) -> str:
    from audit.gate.history import keep

    try:
        keep(result, folder)
    except OSError as error:
        return f"the history was not kept: {error}"
    return ""
