"""Gathers the audited maps on models with other weights and the same function."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.cost import affordable_pairs
from audit.evidence.explained_copies import (
    batch,
    full_dtype,
    maps_of,
    numerical_noise,
    own_copy,
    unedited_maps,
)
from audit.evidence.explained_towers import on_explained_tower
from audit.evidence.kinds import Costs, EditedMaps, ExplainedTowers, Reparametrization
from audit.explainers.contract import Explainer
from audit.explainers.registry import load_explainer
from audit.interventions.function_preserving import (
    BLOCK_EDITS,
    Edit,
    apply_edit,
    default_edits,
    proof,
    tolerance,
)
from audit.metrics.similarity import relative_l2, spearman, top_overlap

CONTROL = "gradient"
CONTROLLED = 4


@dataclass(frozen=True)
class _Unedited:
    """What every edit is compared with."""

    model: nn.Module
    audited: Explainer
    pairs: Int[Tensor, " n"]
    maps: Float[Tensor, "n rows columns"]
    noise: Float[Tensor, " n"]
    control: Explainer
    control_maps: Float[Tensor, "m rows columns"]


def gather_reparametrization(
    context: Context, costs: Costs, explained_towers: ExplainedTowers
) -> Reparametrization:
    """Explain some pairs on every edited copy of the model.

    Each edit is first made in all blocks of a tower at once; where that moves the map, in single
    blocks from the last on, until one is found that moves it alone. The control is the gradient
    of the score for the picture, which is a property of the function and which no such edit can
    move: where it moves, it is the numerics that cannot carry the edit.
    """
    dtype = full_dtype(context.model.dtype)
    model = own_copy(context.pristine, dtype)
    name = context.roles.audited
    audited = on_explained_tower(context.audited, explained_towers.tokens[name])
    pairs = affordable_pairs(context, costs.operations[name], context.sizes.reparametrized)
    control = load_explainer(CONTROL)
    maps = unedited_maps(context, audited, pairs, dtype)
    some = pairs[:CONTROLLED]
    control_maps = unedited_maps(context, control, some, dtype)
    noise = numerical_noise(context, audited, pairs, maps, dtype)
    unedited = _Unedited(model, audited, pairs, maps, noise, control, control_maps)
    return Reparametrization(
        pairs=pairs.numpy(),
        maps=maps.numpy(),
        noise=noise.numpy(),
        control_noise=numerical_noise(context, control, some, control_maps, dtype).numpy(),
        tolerance=tolerance(dtype),
        dtype=str(dtype).removeprefix("torch."),
        entries=tuple(_entries(context, unedited)),
    )


def _entries(context: Context, unedited: _Unedited) -> Iterator[EditedMaps]:
    anatomy = context.model.with_module(unedited.model).require_anatomy()
    every = default_edits(anatomy, context.seed)
    edits = [e for e in every if e.name not in BLOCK_EDITS or e.block is None]
    for done, edit in enumerate(edits, 1):
        entry = _entry(context, unedited, edit)
        yield entry
        context.progress("function-preserving edits", done, len(edits))
        if edit.name in BLOCK_EDITS and edit.tower is not None and _moved(context, entry, unedited):
            blocks = reversed(anatomy.tower(edit.tower).blocks)
            yield from _alone(context, unedited, edit, [block.index for block in blocks])


def _alone(
    context: Context, unedited: _Unedited, edit: Edit, blocks: list[int]
) -> Iterator[EditedMaps]:
    """The edit of single blocks, until one moves the map."""
    for block in blocks:
        entry = _entry(context, unedited, replace(edit, block=block))
        yield entry
        if _moved(context, entry, unedited):
            return


def _entry(context: Context, unedited: _Unedited, edit: Edit) -> EditedMaps:
    name = f"{edit.name} in {edit.place}, block {edit.block}"
    return context.tasks.kept(name, EditedMaps, partial(_measured, context, unedited, edit))


def _measured(context: Context, unedited: _Unedited, edit: Edit) -> EditedMaps:
    edited = apply_edit(unedited.model, edit)
    images, targets = batch(context, unedited.pairs, _dtype(edited))
    change = proof(unedited.model, edited, images, targets)
    maps = maps_of(context, unedited.audited, own_copy(edited), unedited.pairs)
    some = unedited.pairs[:CONTROLLED]
    control = maps_of(context, unedited.control, own_copy(edited), some)
    return EditedMaps(
        edit=edit.name,
        place=edit.place,
        block=edit.block,
        score_change=change,
        rank_correlation=spearman(unedited.maps, maps).numpy(),
        relative_l2=relative_l2(unedited.maps, maps).numpy(),
        top_overlap=top_overlap(unedited.maps, maps).numpy(),
        maps=maps.numpy(),
        control=relative_l2(unedited.control_maps, control).numpy(),
    )


def _moved(context: Context, entry: EditedMaps, unedited: _Unedited) -> bool:
    """Worth looking at block by block: the map of some pair moved, by the limits of the check."""
    limits = context.limits["reparametrization"]
    limit = (limits["noise_factor"] * unedited.noise).clamp(min=limits["relative_change"])
    return bool((torch.from_numpy(entry.relative_l2) > limit).any())


def _dtype(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
