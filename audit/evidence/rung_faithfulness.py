"""Gathers faithfulness of the maps on the rungs of the ladder: what a ladder costs most for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from audit.evidence.context import Context
from audit.evidence.kinds import Faithfulness, Ladder, Reference, RungFaithfulness
from audit.evidence.ladder import ladder_steps
from audit.evidence.map_faithfulness import Gaps, measured
from audit.evidence.rung_scores import Step


def gather_rung_faithfulness(
    context: Context,
    reference: Reference,
    faithfulness: Faithfulness,
    ladder: Ladder,
) -> RungFaithfulness:
    """Faithfulness of some pairs' maps on every rung; on the first that of the model itself.

    All but a twin is measured, which serves P204, on the model itself.
    """
    probed, roles = faithfulness.probed, context.roles
    twin = None if roles.twin in roles.positive else roles.twin
    few = dataclasses.replace(context, pairs=context.pairs.select(probed.tolist()))
    names = [name for name in context.explainers if name != twin]
    steps = ladder_steps(dataclasses.replace(context, rungs=ladder.rungs), reference)
    tasks = {}
    for place, step in enumerate(steps[1:], 1):
        maps = {name: torch.from_numpy(ladder.probed_maps[name][place]) for name in names}
        tasks[f"rung, {step.info.name}"] = partial(_on_rung, few, step, maps)
    told = partial(context.progress, "faithfulness on the ladder")
    found = context.tasks.all_kept(Gaps, tasks, lambda done: told(done + 1, len(steps)))
    gaps = [faithfulness.gaps, *(one.of for one in found)]
    spans = [faithfulness.span, *(one.span for one in found)]
    none = np.full(len(probed), np.nan)
    rows = {name: np.stack([row.get(name, none) for row in gaps]) for name in gaps[0]}
    return RungFaithfulness(probed, rows, np.stack(spans))


def _on_rung(few: Context, step: Step, maps: Mapping[str, Tensor]) -> Gaps:
    return measured(few, step.make().eval(), maps, torch.arange(len(few.pairs)))
