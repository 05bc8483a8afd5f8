"""What ``audit check`` does, without printing: look ahead, audit or judge again, write, keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from audit.config.settings import Settings, SettingsError
from audit.engine import supervision
from audit.engine.baseline_revision import with_baseline_of_revision
from audit.engine.early_look import expect_known
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.output_lock import locked
from audit.engine.progress import Progress, silent
from audit.engine.state_folder import ignored_by_git
from audit.engine.supervision import Limits, WorkerEndedError
from audit.engine.worker_process import Job, UnsupervisableError
from audit.evidence.completion import mark_finished
from audit.reports.output import (
    forget_previous,
    known_formats,
    set_reports_aside,
    writable,
    write_reports,
    write_whole,
)
from audit.result.gate_rule import went_wrong
from audit.result.schema import Result

JOB = "audit.engine.auditing:audited"


def check_explainer(
    settings: Settings,
    progress: Progress = silent,
    *,
    foreign: str | None = None,
    live: LiveObjects = NOTHING,
    supervise: bool = True,
    shared: str | None = None,
) -> tuple[Result, str]:
    """Audit as the settings say, and write reports, attestation and history.

    Explainers run in a process of their own; this one keeps the result, the files and the exit
    code. An audit whose process ends early has a result too: what was finished is judged, and the
    rest is an ERROR that says what happened.

    Args:
        settings: what to audit and how.
        progress: told how far the work is.
        foreign: a folder that nothing may be imported from, where another version of it is audited.
        live: objects in the place of what the settings name.
        shared: a folder with evidence that audits of several explainers share.
        supervise: False to run the explainer in this process, which the result tells. It runs here
            as well where objects can be given to no other process.

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
    _expect_known(settings, live)
    ignored_by_git(Path(settings.out))
    out = writable(Path(settings.out))
    attest = Path(settings.attest) if settings.attest else None
    if attest:
        writable(attest.parent, "--attest")
    with locked(out):
        settings = with_baseline_of_revision(settings)
        given = {"foreign": foreign, "shared": shared}
        result = _result(settings, progress, given, live, supervise=supervise)
        write_reports(result, writable(out), ("json", *settings.formats))
        forget_previous(out)
        if attest:
            from audit.gate.attestation import render_attestation

            write_whole(attest, render_attestation(result))
        if not settings.from_evidence and not went_wrong(result.checks, result.failures):
            mark_finished(out / "evidence")
    return result, _keep(result) if settings.history else ""


def _expect_known(settings: Settings, live: LiveObjects) -> None:
    """Refuse a slip of the pen before anything heavy is imported."""
    if not settings.explainer and not settings.from_evidence:
        raise SettingsError(
            "no explainer given; use --explainer NAME ('audit list explainers' shows all)"
        )
    if not settings.from_evidence:
        with _no_older_result(Path(settings.out)):
            expect_known(settings, live)
    known_formats(settings.formats)


@contextmanager
def _no_older_result(out: Path) -> Iterator[None]:
    """Where an audit is refused, set the reports of an earlier one aside: they are none of this."""
    try:
        yield
    except ValueError:
        if out.is_dir():
            with suppress(OSError), locked(out):  # another audit's are its own
                set_reports_aside(out)
        raise


def _result(
    settings: Settings,
    progress: Progress,
    folders: Mapping[str, str | None],
    live: LiveObjects,
    *,
    supervise: bool,
) -> Result:
    if settings.from_evidence:
        from audit.engine.rejudging import rejudge

        return rejudge(Path(settings.from_evidence), settings)
    if not supervise:
        return _in_this_process(settings, progress, folders, live, "as asked")
    given = {
        "settings": settings.model_dump(mode="json"),
        "notes": list(settings.notes),
        **folders,
    }
    limits = Limits(settings.timeout, settings.memory_bytes)
    try:
        job = Job(JOB, given, {"live": live} if live.any else {})
        return Result.model_validate(supervision.supervised(job, limits, progress))
    except UnsupervisableError as error:
        return _in_this_process(settings, progress, folders, live, str(error))
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"interrupted; finished evidence is kept in '{settings.out}/evidence', the same "
            "command goes on from there"
        ) from error
    except WorkerEndedError as error:
        from audit.engine.unfinished import unfinished_result

        return unfinished_result(settings, error)


def _in_this_process(
    settings: Settings,
    progress: Progress,
    folders: Mapping[str, str | None],
    live: LiveObjects,
    why: str,
) -> Result:
    """Without a supervisor, which the result and its notes tell; `SettingsError` where strict."""
    from audit.engine.auditing import run_audit
    from audit.engine.shared_evidence import Sharing

    told = f"The explainer ran in this process, which it could have ended or altered: {why}."
    sharing = Sharing(shared) if (shared := folders["shared"]) else None
    noted = settings.with_notes([*settings.notes, told])
    return run_audit(noted, progress, live=live, sharing=sharing).result


def _keep(result: Result) -> str:
    from audit.gate.history import keep

    try:
        keep(result, Path.cwd())
    except OSError as error:
        return f"the history was not kept: {error}"
    return ""
