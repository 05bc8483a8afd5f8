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
from audit.evidence.ladder import Step, ladder_steps
from audit.evidence.map_faithfulness import Gaps, measured


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
    gaps, spans = [faithfulness.gaps], [faithfulness.span]
    steps = ladder_steps(dataclasses.replace(context, rungs=ladder.rungs), reference)
    for done, step in enumerate(steps[1:], 2):
        maps = {name: torch.from_numpy(ladder.probed_maps[name][done - 1]) for name in names}
        found = context.tasks.kept(step.info.name, Gaps, partial(_on_rung, few, step, maps))
        gaps.append(found.of)
        spans.append(found.span)
        context.progress("faithfulness on the ladder", done, len(steps))
    none = np.full(len(probed), np.nan)
    rows = {name: np.stack([row.get(name, none) for row in gaps]) for name in gaps[0]}
    return RungFaithfulness(probed, rows, np.stack(spans))


def _on_rung(few: Context, step: Step, maps: Mapping[str, Tensor]) -> Gaps:
    return measured(few, step.make().eval(), maps, torch.arange(len(few.pairs)))
