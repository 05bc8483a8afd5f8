"""Evidence of model and data alone, measured once for the audits of several explainers.

It is measured by a process that runs none of them, so that no explainer can alter what another one
is judged by. Audits read it and never write it; what is not there they measure for themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from audit.config.settings import Settings
from audit.engine.assembly import model_info
from audit.engine.context_building import build_context, load_audited_model
from audit.engine.evidence_key import evidence_key
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.engine.status_board import StatusBoard
from audit.engine.worker_count import forks_of, single_thread, suited_threads
from audit.evidence.context import Context
from audit.evidence.plan import gather, plan
from audit.evidence.tasks import Shared, Tasks
from audit.explainers.registry import load_explainer
from audit.judging.selection import selected_checks

STAND_IN: Final = "random"  # a control in the place of the audited one
KINDS: Final = frozenset(
    {
        "reference",
        "explanations",
        "performance",
        "chosen_pairs",
        "class_pairs",
        "effects",
        "ladder",
        "text_specificity",
    }
)


@dataclass(frozen=True)
class Sharing:
    """Where a benchmark keeps what its audits share, as another process is told."""

    folder: str

    def read_by(self, settings: Settings, context: Context) -> Shared:
        """The part that an audit may read."""
        return Shared(
            Path(self.folder) / evidence_key(settings, context, context.sizes), fills=False
        )


def prepared(
    *, settings: dict[str, Any], folder: str, board: StatusBoard, live: LiveObjects = NOTHING
) -> dict[str, str]:
    """Measure it, in a worker process; see `prepare`.

    Raises:
        ValueError: unknown names, missing files, wrong settings (subclasses say which).
    """
    board.enter("measuring what all explainers are compared with")
    live.show_sources()
    chosen = Settings.model_validate(settings)
    return prepare(chosen, Path(folder), board, live)


def prepare(
    settings: Settings, folder: Path, board: StatusBoard | None, live: LiveObjects = NOTHING
) -> dict[str, str]:
    """Measure what depends on model and data alone; what is there already stays.

    Args:
        settings: of an audit, whose explainer is not looked at.
        folder: of the shared evidence.
        board: of a worker process.
        live: objects in the place of model and data.

    Returns:
        Who model and data are, by hashes.
    """
    alone = settings.model_copy(update={"explainer": STAND_IN, "options": {}})
    model = load_audited_model(alone, live)
    told = board.tell if board else (lambda *_: None)
    context = build_context(alone, model, load_explainer(STAND_IN), told, live)
    key = evidence_key(alone, context, context.sizes)
    forks = forks_of(alone, model, board)
    tasks = Tasks(shared=Shared(folder / key, fills=True), executor=forks)
    context = replace(context, tasks=tasks)
    needs = frozenset().union(*(check.needs for check in selected_checks(alone)))
    if settings.samples != "auto":  # then each audit stops at pairs of its own
        with suited_threads(model, single=single_thread(alone, forks)):
            kinds = frozenset(plan((needs & KINDS) | context.kinds_beside))
            gather(context, kinds, folder / "evidence", key, resume=True)
    return {"model": model_info(model).identity_sha256, "data": context.pairs.sha256}
