"""Are two explainers the same one? A numerical question, asked on every pair."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from audit.config.settings import Settings
from audit.engine import supervision
from audit.engine.assembly import EQUIVALENT
from audit.engine.context_building import (
    load_audited_explainer,
    load_audited_model,
    load_pairs,
)
from audit.engine.early_look import expect_known
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.progress import silent
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import Job, UnsupervisableError
from audit.evidence.context import all_maps
from audit.evidence.explanations import largest_difference, mean_rank_correlation
from audit.explainers.binding import bound
from audit.explainers.registry import given_explainer, load_explainer
from audit.result.wording import number

JOB = "audit.engine.equivalence:compared"


@dataclass(frozen=True)
class Equivalence:
    """Whether the maps agree, and the sentence that says so."""

    equivalent: bool
    sentence: str


def compare_explainers(
    settings: Settings, other: str, live: LiveObjects = NOTHING, *, supervise: bool = True
) -> Equivalence:
    """Compare the maps of ``settings.explainer`` and another explainer.

    Both run in a process of their own, or in this one where what was given can go to no other.

    Args:
        settings: name the explainer, the model and the data.
        other: name of the other explainer.
        live: objects in the place of names.
        supervise: False to run both in this process.

    Raises:
        ReportedError: what that process raised, such as for unknown names.
        WorkerEndedError: it ended without a result.
    """
    expect_known(settings, live, () if live.other else (other,))
    arguments = {"settings": settings.model_dump(mode="json"), "other": other}
    limits = supervision.Limits(settings.timeout, settings.memory_bytes)
    if not supervise:
        return _compared(settings, other, live)
    try:
        job = Job(JOB, arguments, {"live": live} if live.any else {})
        return Equivalence(**supervision.supervised(job, limits, silent))
    except UnsupervisableError:
        return _compared(settings, other, live)


def compared(
    settings: dict[str, Any], other: str, board: StatusBoard, live: LiveObjects = NOTHING
) -> dict[str, Any]:
    """The same in the worker process.

    Raises:
        ValueError: unknown names or settings (subclasses say which).
    """
    board.enter(f"comparing it with {other}")
    live.show_sources()
    return asdict(_compared(Settings.model_validate(settings), other, live))


def _compared(settings: Settings, other: str, live: LiveObjects) -> Equivalence:
    first = load_audited_explainer(settings, live)
    second = given_explainer(live.other, other) if live.other else load_explainer(other)
    model = load_audited_model(settings, live)
    pairs = load_pairs(settings, model, live)
    met = (bound(explainer, model, pairs.targets) for explainer in (first, second))
    one, two = (all_maps(explainer, model, pairs).double() for explainer in met)
    gap, ranks = largest_difference(one, two), mean_rank_correlation(one, two)
    tolerance = EQUIVALENT[settings.dtype]
    same = gap <= tolerance
    verb = "are equivalent" if same else "differ"
    sentence = (
        f"{settings.explainer} and {other} {verb}: over {len(pairs)} pairs the maps differ by at "
        f"most {number(gap)} of their range (tolerance {number(tolerance)} in {settings.dtype}), "
        f"mean rank correlation {ranks:.4f}."
    )
    return Equivalence(same, sentence)
