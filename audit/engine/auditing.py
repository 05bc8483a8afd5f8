"""The composition root: settings in, result out. Gathers, judges, and puts the result together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from audit.config.settings import Settings, SettingsError
from audit.engine.assembly import model_info, summarize
from audit.engine.audited_subjects import load_subjects
from audit.engine.context_building import build_context
from audit.engine.evidence_filler import Filler
from audit.engine.evidence_key import audit_key
from audit.engine.files_read import with_files_read
from audit.engine.gate_inputs import load_gate
from audit.engine.git_revision import must_not_import_from
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.picture_drawing import drawn_pictures
from audit.engine.provenance import conditions, explainer_info, now, timing
from audit.engine.ray_cluster import start_cluster
from audit.engine.ray_worker import shared_key
from audit.engine.reproduction import command_line
from audit.engine.shared_evidence import Sharing
from audit.engine.status_board import StatusBoard
from audit.engine.stopwatch import Stopwatch
from audit.engine.unfinished import subject_document
from audit.engine.worker_count import forks_of, single_thread, suited_threads, threads_of
from audit.evidence.completion import SOURCES, may_resume
from audit.evidence.context import Context, Progress
from audit.evidence.deadline import deadline_of
from audit.evidence.dry_run import try_explainer
from audit.evidence.interim_looks import forget_looks, measured_looks, one_look
from audit.evidence.kinds import Evidence
from audit.evidence.side_by_side import Executor, Forks
from audit.evidence.tasks import Tasks
from audit.explainers.contract import Explainer
from audit.explainers.sources import SourceRecord, reading_recorded
from audit.gate.gating import Gate
from audit.judging.answerable import answerable, with_the_others
from audit.judging.group_sequential import Judged, judge_by_looks
from audit.judging.selection import by_check, selected_checks
from audit.reports.output import set_reports_aside
from audit.result.schema import Conditions, Result, Timing
from principles.check import Check


@dataclass(frozen=True)
class Audit:
    """A result, and the context that it came from."""

    result: Result
    context: Context
    evidence: Evidence


def audited(
    *,
    settings: dict[str, Any],
    notes: Sequence[str],
    board: StatusBoard,
    foreign: str | None = None,
    shared: str | None = None,
    live: LiveObjects = NOTHING,
) -> Any:
    """Run an audit in a worker process: settings and result are as JSON holds them.

    Args:
        settings: of `Settings`.
        notes: on the settings, for the result.
        board: tells the supervisor what is being done.
        foreign: a folder that nothing may be imported from.
        shared: a folder with evidence that audits of several explainers share.
        live: objects in the place of what the settings name.

    Raises:
        SettingsError: something was imported from there.
    """
    live.show_sources()
    chosen = Settings.model_validate(settings).with_notes(notes)
    sharing = Sharing(shared) if shared else None
    found = run_audit(chosen, board.tell, board, live, sharing).result.model_dump(mode="json")
    if foreign:
        must_not_import_from(Path(foreign))
    return found


def run_audit(
    settings: Settings,
    progress: Progress,
    board: StatusBoard | None = None,
    live: LiveObjects = NOTHING,
    sharing: Sharing | None = None,
) -> Audit:
    """Audit an explainer in this process.

    Args:
        settings: what to audit and how.
        progress: told how far the work is.
        board: of a worker process; None where nobody supervises this one.
        live: objects in the place of what the settings name.
        sharing: evidence that audits of several explainers share.

    Raises:
        ValueError: unknown names, missing files, wrong settings (subclasses say which).
        OSError: the output folder cannot be written.
    """
    if board is None and settings.strict:
        raise SettingsError(
            "strict: expected the explainer in a process of its own, found it in this one, where "
            "it can change the verdict; use check_explainer or 'audit check', or leave strict out"
        )
    started, watch, began_at = now(), Stopwatch(), monotonic()
    checks = selected_checks(settings)
    gate = load_gate(settings, checks)
    folder = Path(settings.out).resolve() / "evidence"
    set_reports_aside(folder.parent)
    subjects = load_subjects(settings, board, live, shares=sharing is None)
    audited, model = subjects.explainer, subjects.model
    context = with_files_read(
        build_context(settings, model, audited, progress, live), checks, settings, live
    )
    count = forks_of(settings, model, board).count  # once: free memory, which may decide, changes
    single = single_thread(settings, Forks(count))
    key = audit_key(settings, context, threads_of(model, single=single))
    run = _conditions(settings, context, key, live, supervised=board is not None)
    if board:
        board.leave("subject", subject_document(context, run, started))
    with reading_recorded():
        changed, memory = try_explainer(context)
        context = replace(context, before=(*subjects.imported, *changed), memory=memory)
    resume = may_resume(folder, resume=settings.resume, reuse=settings.reuse)
    sources = SourceRecord(folder / SOURCES, _own_files(audited), beside=(folder.parent,))
    began = (lambda kind: board.enter(f"gathering {kind}")) if board else context.began
    shared = sharing.read_by(settings, context) if sharing else None
    forks = replace(forks_of(settings, model, board, sources), count=count)
    executor, ending = _beside(settings, context, live, forks, subjects.filler)
    deadline = deadline_of(settings.max_time, began_at)
    tasks = Tasks(None, sources.update, shared, executor, deadline, subjects.filler)
    context = replace(context, tasks=tasks, began=began)
    with ending, suited_threads(model, single=single), reading_recorded():
        found = _found(settings, context, checks, folder, key, watch, resume=resume)
    context = _of_judged_pairs(context, found)
    time = timing(started, found.gathered.seconds, watch.seconds, found.gathered.reused)
    time = time.model_copy(update={"map": context.seconds.get(context.roles.audited)})
    result = _assembled(settings, context, found, gate, run, time)
    return Audit(result, context, found.gathered.evidence)


def _of_judged_pairs(context: Context, found: Judged) -> Context:
    """The same context, with the pairs of the last look in the place of all that were planned."""
    used = found.gathered.evidence.reference
    if not found.pairs or used is None:
        return context
    index = {pair: i for i, pair in enumerate(context.pairs.ids)}
    return replace(context, pairs=context.pairs.select([index[i] for i in used.ids]))


def _beside(
    settings: Settings,
    context: Context,
    live: LiveObjects,
    forks: Forks,
    filler: Filler | None,
) -> tuple[Executor, AbstractContextManager[object]]:
    """What measures beside this process, and what ends it: a cluster, or forks and a filler."""
    if settings.engine == "ray":
        cluster = start_cluster(settings, shared_key(settings, context), live)
        return cluster, closing(cluster)
    if filler is None:
        return forks, nullcontext()
    return replace(forks, elsewhere=filler.busy), closing(filler)


def _found(
    settings: Settings,
    context: Context,
    checks: Sequence[Check],
    folder: Path,
    key: str,
    watch: Stopwatch,
    *,
    resume: bool,
) -> Judged:
    """Gather and judge: once, or look by look until the checks are settled."""
    severity, thresholds = (
        by_check(settings.severity, checks),
        by_check(settings.thresholds, checks),
    )
    asked = answerable(checks, context.roles)
    if settings.samples == "auto":
        looks = measured_looks(context, folder, key, resume=resume)
        found = judge_by_looks(
            asked, looks, severity=severity, thresholds=thresholds, timed=watch.timed
        )
        return with_the_others(found, checks, severity)
    forget_looks(folder)
    looks = one_look(context, folder, key, resume=resume)
    found = judge_by_looks(
        asked, looks, severity=severity, thresholds=thresholds, timed=watch.timed
    )
    return with_the_others(replace(found, pairs=()), checks, severity)


def _conditions(
    settings: Settings, context: Context, key: str, live: LiveObjects, *, supervised: bool
) -> Conditions:
    return conditions(
        seed=settings.seed,
        device=settings.device,
        dtype=settings.dtype,
        settings=settings.shown(),
        command=command_line(settings, live),
        source=context.audited.source_file,
        checkpoints={c.name: c.sha256 for c in context.checkpoints}
        | {other.source: other.sha256 for other in context.others},
        evidence=key,
        supervised=supervised,
    )


def _own_files(explainer: Explainer) -> tuple[str, ...]:
    return (explainer.source_file,) if explainer.source_file else ()


def _assembled(
    settings: Settings,
    context: Context,
    found: Judged,
    gate: Gate,
    run: Conditions,
    time: Timing,
) -> Result:
    explainer = explainer_info(context.audited, found.gathered.evidence.costs)
    gated, notes = gate.applied(
        found.results,
        explainer=explainer.name,
        model=model_info(context.model),
        data=context.pairs.sha256,
    )
    return summarize(
        found=found,
        checks=gated,
        gate_notes=notes,
        explainer=explainer,
        model=context.model,
        pairs=context.pairs,
        run=run,
        timing=time,
        settings=settings,
        pngs=lambda shown: drawn_pictures(context, shown),
    )
