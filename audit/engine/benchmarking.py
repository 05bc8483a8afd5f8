"""What ``audit benchmark`` does, without printing: audits of many explainers, and one page.

What depends on model and data alone is measured once. An interrupted benchmark goes on where it
was: a finished audit of unchanged sources, settings, model and data is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from audit.config.settings import Settings, SettingsError
from audit.engine import supervision
from audit.engine.benchmark_cells import Benchmark, Cell, Outcome
from audit.engine.checking import check_explainer
from audit.engine.early_look import expect_known
from audit.engine.output_lock import locked
from audit.engine.progress import Progress, silent
from audit.engine.supervision import Limits, WorkerEndedError
from audit.engine.worker_process import Job, UnsupervisableError
from audit.errors import IncompleteError, ReportedError, ending
from audit.evidence.completion import finished_unchanged
from audit.explainers.built_in import BUILT_IN, affordable
from audit.explainers.errors import ExplainerFaultError, NeedsHeadsError
from audit.former_names import present_explainer
from audit.reports.output import OutputError, writable, write_whole
from audit.result.document import ResultFormatError, read_result
from audit.result.gate_rule import went_wrong
from audit.result.schema import Result
from audit.version import __version__

STATE: Final = "benchmark.json"
_SHARED: Final = "shared"
_PREPARED: Final = "audit.engine.shared_evidence:prepared"
Told = Callable[[Outcome], None]
Identity = dict[str, str]


def run_benchmark(
    asked: Sequence[Cell],
    folder: Path,
    progress: Progress = silent,
    told: Told = lambda _: None,
    *,
    supervise: bool = True,
) -> Benchmark:
    """Audit every cell.

    Args:
        asked: the cells.
        folder: of the benchmark.
        progress: told how far the audit in work is.
        told: each outcome, as soon as there is one.
        supervise: False to run explainers in this process.

    Raises:
        ValueError: wrong names or settings (subclasses say which), before the work begins.
        OutputError: the folder cannot be written to.
        KeyboardInterrupt: interrupted; the same call goes on from there.
    """
    for cell in asked:
        expect_known(cell.settings, cell.live)
    with locked(writable(folder)):
        interrupted = _state(folder) is False
        _write_state(folder, finished=False)
        outcomes: list[Outcome] = []
        known: dict[str, Identity] = {}
        for number, cell in enumerate(asked, 1):
            named = _numbered(progress, f"{number} of {len(asked)}: {cell.name}")
            if cell.subject not in known:
                known[cell.subject] = _prepared(cell, folder, named, supervise=supervise)
            outcome = _kept(cell, known[cell.subject]) if interrupted else None
            outcome = outcome or _audited(cell, folder, named, supervise=supervise)
            outcomes.append(outcome)
            told(outcome)
        _write_state(folder, finished=True)
    return Benchmark(tuple(outcomes))


def _numbered(progress: Progress, which: str) -> Progress:
    return lambda phase, done, total: progress(f"{which}, {phase}", done, total)


def _prepared(cell: Cell, folder: Path, progress: Progress, *, supervise: bool) -> Identity:
    """Measure what the audits of this model and data share; who model and data are.

    Raises:
        ReportedError: the model or the data cannot be loaded.
    """
    settings, shared = cell.settings, str(folder / _SHARED)
    live = cell.live.without_explainer()
    given: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "folder": shared}
    if supervise:
        try:
            job = Job(_PREPARED, given, {"live": live} if live.any else {})
            limits = Limits(settings.timeout, settings.memory_bytes)
            return dict(supervision.supervised(job, limits, progress))
        except UnsupervisableError:
            pass
    from audit.engine.shared_evidence import prepare

    return prepare(settings, Path(shared), None, live)


def _audited(cell: Cell, folder: Path, progress: Progress, *, supervise: bool) -> Outcome:
    """Run a cell; what it raises is its outcome, since the others go on."""
    try:
        result, _ = check_explainer(
            cell.settings,
            progress,
            live=cell.live,
            supervise=supervise,
            shared=str(folder / _SHARED),
        )
    except ReportedError as error:
        return Outcome(cell, None, str(error), applies=error.kind != NeedsHeadsError.__name__)
    except NeedsHeadsError as error:
        return Outcome(cell, None, str(error), applies=False)
    except (WorkerEndedError, ExplainerFaultError) as error:
        return Outcome(cell, None, str(error))
    except (IncompleteError, OutputError):
        raise  # a full disk stops all of them
    except Exception as error:  # noqa: BLE001 - of an explainer that ran in this process
        return Outcome(cell, None, ending(error)[0])
    return Outcome(cell, result)


def _kept(cell: Cell, identity: Identity) -> Outcome | None:
    """The outcome of an interrupted benchmark, if nothing has changed that it depends on."""
    out = Path(cell.settings.out)
    if cell.live.any or not cell.settings.resume:
        return None
    if not finished_unchanged(out / "evidence"):
        return None
    try:
        result = read_result(out / "result.json")
    except (OSError, ResultFormatError):
        return None
    same = (
        not went_wrong(result.checks, result.failures)
        and result.conditions.audit_version == __version__
        and result.conditions.settings == cell.settings.shown()
        and identity_of(result) == identity
    )
    return Outcome(cell, result, kept=True) if same else None


def identity_of(result: Result) -> Identity:
    """Which model and data a result is of."""
    return {"model": result.model.identity_sha256, "data": result.data.sha256}


def _state(folder: Path) -> bool | None:
    """Whether the benchmark in a folder was finished; None where there is none."""
    try:
        return bool(json.loads((folder / STATE).read_text(encoding="utf-8"))["finished"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_state(folder: Path, *, finished: bool) -> None:
    write_whole(folder / STATE, json.dumps({"finished": finished}) + "\n")


def named_explainers(
    names: Sequence[str], *, every: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Explainers under their present names, and a note for each that was given by a former one.

    Args:
        names: as they were given.
        every: all built-in ones as well, those of very many passes at their cheaper setting.

    Raises:
        SettingsError: there is none.
    """
    found = [present_explainer(name) for name in names]
    chosen = [*(name for name, _ in found), *(map(affordable, BUILT_IN) if every else ())]
    if not chosen:
        raise SettingsError(
            "expected one explainer or more, or --all, got none; 'audit list explainers' shows them"
        )
    return tuple(dict.fromkeys(chosen)), tuple(note for _, notes in found for note in notes)


def subjects_of(
    models: Sequence[str], weights: Sequence[str], data: Sequence[str], settings: Settings
) -> list[dict[str, object]]:
    """What differs between the cells of a benchmark beside their explainers.

    Args:
        models: names; none for that of the settings.
        weights: none, one for all models, or one for each in their order.
        data: names; none for those of the settings.
        settings: of all audits.

    Raises:
        SettingsError: another number of weights.
    """
    named = list(models) or [settings.model]
    every = list(weights) or [settings.pretrained or ""]
    every = every * len(named) if len(every) == 1 else every
    if len(every) != len(named):
        raise SettingsError(
            f"pretrained: expected one for all models or one for each of {len(named)}, got "
            f"{len(every)}"
        )
    return [
        {"model": model, "pretrained": tag or None, "data": one}
        for model, tag in zip(named, every, strict=True)
        for one in (list(data) or [settings.data])
    ]
