"""Explainer and model of an audit, loaded in an order that shows what the explainer patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from audit.config.settings import Settings
from audit.engine.context_building import load_audited_explainer, load_audited_model
from audit.engine.evidence_filler import Filler, start_filler
from audit.engine.live_objects import LiveObjects
from audit.engine.status_board import StatusBoard
from audit.engine.worker_count import forks_of, single_thread, suited_threads
from audit.evidence.context import began_nothing
from audit.evidence.dry_run import records_of
from audit.explainers.call_observer import calling
from audit.explainers.contract import Explainer
from audit.explainers.sources import reading_recorded
from audit.models.model_under_audit import ModelUnderAudit
from audit.trace.integrity import Integrity
from audit.trace.records import ChangeRecord


@dataclass(frozen=True)
class Subjects:
    """Explainer and model, and what came with them.

    Attributes:
        explainer: under audit.
        model: under audit.
        imported: what importing the explainer altered of the model's code.
        filler: measures what depends on model and data alone; None where nothing does.
    """

    explainer: Explainer
    model: ModelUnderAudit
    imported: tuple[ChangeRecord, ...]
    filler: Filler | None


def load_subjects(
    settings: Settings, board: StatusBoard | None, live: LiveObjects, *, shares: bool
) -> Subjects:
    """Explainer and model, and a filler of the cache where ``shares`` says that there may be one.

    A file or module is imported only when the model is there, so that what it patches is seen, and
    when the filler has been forked, which runs nothing of it.
    """

    def filler_for(model: ModelUnderAudit) -> Filler | None:
        if not shares or settings.engine != "local":
            return None
        forks = forks_of(settings, model, board)
        with suited_threads(model, single=single_thread(settings, forks)):
            single = torch.get_num_threads() == 1
        return start_filler(settings, model, board, forks, live, single=single)

    enter = board.enter if board else began_nothing
    enter("loading the model and the explainer")
    foreign = ":" in settings.explainer
    model = load_audited_model(settings, live) if foreign else None
    filler = filler_for(model) if model else None
    integrity = Integrity(model.module, model.module) if model else None
    with reading_recorded(), calling(settings.explainer, 0):
        audited = load_audited_explainer(settings, live)
    changes = integrity.verify() if integrity else ()
    imported = records_of(changes, "when it was imported", audited)
    if model is None:
        model = load_audited_model(settings, live)
        filler = filler_for(model)
    enter("reading the data")
    return Subjects(audited, model, imported, filler)
