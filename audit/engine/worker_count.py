"""How many processes measure side by side, and with how many threads each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import psutil
import torch

from audit.config.settings import Settings, SettingsError
from audit.engine.status_board import StatusBoard
from audit.engine.worker import die_with
from audit.evidence.side_by_side import Forks
from audit.explainers.sources import SourceRecord
from audit.models.model_under_audit import ModelUnderAudit

_COPIES = 4  # of the model that a task may hold: pristine, edited, the explainer's, and slopes
_SMALL = 50_000  # activations of one token row of a block; ViT-B/16 has 151,000


def forks_of(
    settings: Settings,
    model: ModelUnderAudit,
    board: StatusBoard | None,
    sources: SourceRecord | None = None,
) -> Forks:
    """What measures the tasks of an audit.

    Forks need a process that a supervisor watches over, Linux, and a model on the CPU: a GPU in use
    does not survive a fork.

    Args:
        settings: of the audit; ``workers`` is a number, or ``auto`` for as many as there are cores
            and memory for.
        model: under audit.
        board: of a worker process; None where nobody supervises this one.
        sources: what the explainer's evidence depends on, where one runs.

    Raises:
        SettingsError: more than one process is asked for where there can be none.
    """
    if settings.engine == "ray":
        return Forks()
    why = why_no_forks(model, board)
    if why:
        if settings.workers not in {"auto", 1}:
            raise SettingsError(
                f"workers: expected 1 or auto, found {settings.workers}: {why}; leave --workers out"
            )
        return Forks()
    if board is None:
        return Forks()

    def begins(parent: int) -> None:
        die_with(parent)
        board.write_apart()
        if sources:
            sources.write_apart()

    def ended(process: int) -> None:
        board.forget(process)
        if sources:
            sources.join(process)

    return Forks(_count(settings, model), begins, ended)


def single_thread(settings: Settings, forks: Forks) -> bool:
    """Whether everything is measured with one thread.

    Where the number of processes is given it is, so that the same comes out with any, and where
    other machines measure.
    """
    return forks.count > 1 or settings.workers != "auto" or settings.engine == "ray"


def why_no_forks(model: ModelUnderAudit, board: StatusBoard | None) -> str:
    """Why this process can have no forks at work beside it; empty where it can."""
    if board is None:
        return "the explainer is not in a process of its own"
    if sys.platform != "linux":
        return f"processes are forked on Linux alone, this is {sys.platform}"
    if model.device.type != "cpu":
        return f"the model is on {model.device}, which one process uses"
    return ""


def _count(settings: Settings, model: ModelUnderAudit) -> int:
    if settings.workers != "auto":
        return settings.workers
    held = sum(t.nbytes for t in model.module.state_dict().values()) * _COPIES + 2**29
    fitting = int(psutil.virtual_memory().available / held)
    return max(1, min(int(joblib.cpu_count()), fitting))


@contextmanager
def suited_threads(model: ModelUnderAudit, *, single: bool = False) -> Iterator[None]:
    """One thread on the CPU while a small model is audited; the setting is put back.

    The work of one operator of a small model does not pay for waking a second thread, and on a
    machine that is busy otherwise it waits for it: an audit of the bundled model took 139 s with
    one thread and 466 s with two beside one other process.

    Args:
        model: under audit.
        single: one thread for a model of any size, as for processes side by side.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads_of(model, single=single))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads_of(model: ModelUnderAudit, *, single: bool) -> int:
    """Threads that a process measures with; see `suited_threads`."""
    one = model.device.type == "cpu" and (single or _is_small(model))
    return 1 if one else torch.get_num_threads()


def _is_small(model: ModelUnderAudit) -> bool:
    """Whether its blocks are known to be small."""
    anatomy = model.anatomy
    if anatomy is None:
        return False
    return anatomy.image.tokens * anatomy.image.width < _SMALL
