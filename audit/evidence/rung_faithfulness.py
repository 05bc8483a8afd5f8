"""Gathers faithfulness of the maps on the rungs of the ladder: what a ladder costs most for."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from audit.evidence.context import Context
from audit.evidence.kinds import Faithfulness, Ladder, Reference, RungFaithfulness
from audit.evidence.ladder import ladder_steps
from audit.evidence.map_faithfulness import measured


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
        module = step.make().eval()
        maps = {name: torch.from_numpy(ladder.probed_maps[name][done - 1]) for name in names}
        found, span = measured(few, module, maps, torch.arange(len(probed)))
        gaps.append(found)
        spans.append(span)
        context.progress("faithfulness on the ladder", done, len(steps))
    none = np.full(len(probed), np.nan)
    rows = {name: np.stack([row.get(name, none) for row in gaps]) for name in gaps[0]}
    return RungFaithfulness(probed, rows, np.stack(spans))
