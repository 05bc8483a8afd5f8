"""What an audit will take, measured on a part of it in a worker process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from audit.config.settings import Settings
from audit.engine.audited_subjects import load_subjects
from audit.engine.context_building import build_context
from audit.engine.evidence_cache import cache_folder
from audit.engine.live_objects import NOTHING
from audit.engine.peak_memory import peak_memory
from audit.engine.planning import STARTING, CostPlan, Planned
from audit.engine.status_board import StatusBoard
from audit.engine.worker_count import forks_of, single_thread, suited_threads
from audit.evidence.completion import SOURCES
from audit.evidence.context import Context
from audit.evidence.dry_run import try_explainer
from audit.evidence.forecast import KindCost, forecast
from audit.evidence.interim_looks import ALWAYS
from audit.evidence.plan import plan
from audit.explainers.sources import SourceRecord, reading_recorded
from audit.judging.answerable import answerable
from audit.judging.selection import selected_checks


def planned(*, settings: dict[str, Any], board: StatusBoard) -> dict[str, Any]:
    """The plan, in a worker process, as JSON holds it.

    Raises:
        ValueError: unknown names, missing files, wrong settings (subclasses say which).
    """
    chosen = Settings.model_validate(settings)
    subjects = load_subjects(chosen, board, NOTHING, shares=False)
    model = subjects.model
    context = build_context(chosen, model, subjects.explainer, board.tell)
    with reading_recorded():
        changed, memory = try_explainer(context)
    began = lambda kind: board.enter(f"measuring what {kind} costs")  # noqa: E731
    before = (*subjects.imported, *changed)
    context = replace(context, before=before, memory=memory, began=began)
    forks = forks_of(chosen, model, board)
    needed, most = _kinds(chosen, context)
    process = psutil.Process()
    started, held = time.time(), process.memory_info().rss
    with (
        TemporaryDirectory() as place,
        suited_threads(model, single=single_thread(chosen, forks)),
        reading_recorded(),
    ):
        costs = list(forecast(context, most, Path(place)))
        SourceRecord(Path(place) / SOURCES, ()).update()
        sources = (Path(place) / SOURCES).stat().st_size
    first = Planned(what=STARTING, seconds=started - process.create_time(), bytes=sources)
    parts = (first, *(_part(cost, forks.count, needed) for cost in costs))
    return CostPlan(
        explainer=context.roles.audited,
        model=model.name,
        data=context.pairs.name,
        pairs=len(context.pairs),
        workers=forks.count,
        parts=parts,
        needed=_sum("needed", [part for part in parts if not part.on_demand]),
        most=_sum("most", parts),
        memory=held + forks.count * (peak_memory() - held),
        seconds=time.time() - process.create_time(),
        notes=tuple(_unseen(chosen, most - needed, forks.count)),
    ).model_dump(mode="json")


def _kinds(settings: Settings, context: Context) -> tuple[frozenset[str], frozenset[str]]:
    """The kinds that are measured in any case, and all that checks may ask for."""
    checks = answerable(selected_checks(settings), context.roles)
    always = ALWAYS | context.kinds_beside
    needed = always.union(*(check.needs - check.on_demand for check in checks))
    most = always.union(*(check.needs for check in checks))
    return frozenset(plan(needed)), frozenset(plan(most))


def _part(cost: KindCost, workers: int, needed: frozenset[str]) -> Planned:
    return Planned(
        what=cost.kind,
        forwards=cost.forwards,
        backwards=cost.backwards,
        seconds=cost.seconds - cost.aside + max(cost.aside / workers, cost.longest),
        bytes=cost.bytes,
        on_demand=cost.kind not in needed,
        failure=cost.failure,
    )


def _sum(what: str, parts: Sequence[Planned]) -> Planned:
    return Planned(
        what=what,
        forwards=sum(part.forwards for part in parts),
        backwards=sum(part.backwards for part in parts),
        seconds=sum(part.seconds for part in parts),
        bytes=sum(part.bytes for part in parts),
    )


def _unseen(settings: Settings, on_demand: frozenset[str], workers: int) -> list[str]:
    """What the plan cannot see."""
    found = ["Judging, drawing pictures and the reports themselves are not counted."]
    if on_demand:
        found.append(
            f"Whether a check asks for {', '.join(sorted(on_demand))} depends on what it finds."
        )
    if settings.samples == "auto":
        found.append(
            f"--samples auto is counted as its whole budget of {settings.budget:,} pairs at once; "
            "it stops earlier where the checks are settled."
        )
    found.append(
        "Single blocks, which are edited where an edit of all blocks moves the map, are not "
        "counted: some five edits more for an explainer that P106 finds at fault."
    )
    if cache_folder(settings.cache) is not None:
        found.append(
            "What earlier audits have left in the cache is counted as if it was not there."
        )
    if settings.engine == "ray":
        found.append("The time and memory are those of one process; a cluster shares the work.")
    if workers > 1:
        found.append(f"The time is that of {workers} processes on as many idle cores.")
    return found
