"""Are two explainers the same one? A numerical question, asked on every pair."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from audit.config.settings import Settings
from audit.engine import supervision
from audit.engine.assembly import EQUIVALENT
from audit.engine.context_building import load_audited_model, load_pairs
from audit.engine.progress import silent
from audit.engine.status_board import StatusBoard
from audit.engine.worker_process import Job
from audit.evidence.context import all_maps
from audit.evidence.explanations import largest_difference, mean_rank_correlation
from audit.explainers.binding import bound
from audit.explainers.registry import load_explainer

JOB = "audit.engine.equivalence:compared"


@dataclass(frozen=True)
class Equivalence:
    """Whether the maps agree, and the sentence that says so."""

    equivalent: bool
    sentence: str


def compare_explainers(settings: Settings, other: str) -> Equivalence:
    """Compare the maps of ``settings.explainer`` and another explainer.

    Both run in a process of their own.

    Raises:
        ReportedError: what that process raised, such as for unknown names.
        WorkerEndedError: it ended without a result.
    """
    job = Job(JOB, {"settings": settings.model_dump(mode="json"), "other": other})
    limits = supervision.Limits(settings.timeout, settings.memory_bytes)
    return Equivalence(**supervision.supervised(job, limits, silent))


def compared(settings: dict[str, Any], other: str, board: StatusBoard) -> dict[str, Any]:
    """The same in the worker process.

    Raises:
        ValueError: unknown names or settings (subclasses say which).
    """
    board.enter(f"comparing it with {other}")
    return asdict(_compared(Settings.model_validate(settings), other))


def _compared(settings: Settings, other: str) -> Equivalence:
    first, second = load_explainer(settings.explainer, settings.options), load_explainer(other)
    model = load_audited_model(settings)
    pairs = load_pairs(settings, model)
    met = (bound(explainer, model, pairs.targets) for explainer in (first, second))
    one, two = (all_maps(explainer, model, pairs).double() for explainer in met)
    gap, ranks = largest_difference(one, two), mean_rank_correlation(one, two)
    tolerance = EQUIVALENT[settings.dtype]
    same = gap <= tolerance
    verb = "are equivalent" if same else "differ"
    sentence = (
        f"{settings.explainer} and {other} {verb}: over {len(pairs)} pairs the maps differ by at "
        f"most {gap:.2e} of their range (tolerance {tolerance:g} in {settings.dtype}), mean rank "
        f"correlation {ranks:.4f}."
    )
    return Equivalence(same, sentence)
