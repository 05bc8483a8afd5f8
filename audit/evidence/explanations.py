"""Gathers the maps on the unmodified model, and their localization."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from audit.data.pairs import Pairs
from audit.evidence.context import Context
from audit.evidence.kinds import Explanations
from audit.metrics.localization import mask_on_grid
from audit.metrics.mask_measures import MASK_MEASURES
from audit.metrics.quality_table import QualityMeasure


def gather_explanations(context: Context) -> Explanations:
    """Maps of the audited explainer, its twin and the controls."""
    maps, quality = {}, {}
    masks = grid_masks(context)
    tasks = {name: f"maps of {name}" for name in context.explainers}
    every = context.tasks.all_drawn(
        {task: functools.partial(_timed_maps, context, name) for name, task in tasks.items()},
        of_model={task for name, task in tasks.items() if context.is_of_model(name)},
    )
    for name, drawn in zip(tasks, every, strict=True):
        found = drawn["maps"]
        context.seconds[name] = float(drawn["seconds"])
        maps[name] = found.double().numpy()
        if masks is not None:
            quality[name] = localization(found, masks, context.quality)
    return Explanations(maps, quality)


def localized(context: Context, pairs: Pairs) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Localization of the maps of other pairs, by explainer, and the share of each object's area.

    By the measure that decides; without the twin, which P204 compares on pairs of its own.
    """
    own = _without_twin(context, pairs)
    found, masks = gather_explanations(own), grid_masks(own)
    area = np.zeros(len(pairs)) if masks is None else masks.flatten(1).mean(1).double().numpy()
    return {n: v[context.roles.decides] for n, v in found.localization.items()}, area


def _without_twin(context: Context, pairs: Pairs) -> Context:
    roles = context.roles
    ranked = {roles.audited, *roles.positive, *roles.negative}
    explainers = {
        name: one
        for name, one in context.explainers.items()
        if name in ranked or name != roles.twin
    }
    return dataclasses.replace(context, pairs=pairs, explainers=explainers)


def _timed_maps(context: Context, name: str) -> dict[str, Tensor]:
    """Maps of all pairs, and the seconds that one takes."""
    draw = functools.partial(context.maps, context.explainers[name], phase=f"maps of {name}")
    started = perf_counter()
    found = context.guarded(draw)
    seconds = (perf_counter() - started) / max(len(found), 1)
    return {"maps": found, "seconds": torch.tensor(seconds, dtype=torch.float64)}


def grid_masks(context: Context) -> Float[Tensor, "pairs rows columns"] | None:
    """Masks on the patch grid."""
    masks = context.pairs.masks
    return None if masks is None else mask_on_grid(masks, context.grid)


def maps_in_single(
    explanations: Explanations, names: Iterable[str]
) -> dict[str, Float[Tensor, "pairs rows columns"]]:
    """Maps of some explainers in single precision, as they are measured."""
    return {name: torch.from_numpy(explanations.maps[name]).to(torch.float32) for name in names}


def localization(
    maps: Float[Tensor, "n h w"],
    masks: Float[Tensor, "n h w"],
    measures: Iterable[QualityMeasure],
) -> dict[str, np.ndarray]:
    """Localization of each map by those of some measures that are against masks, by title."""
    return {
        one.title: MASK_MEASURES[one.name](maps, masks).double().numpy()
        for one in measures
        if one.name in MASK_MEASURES
    }
