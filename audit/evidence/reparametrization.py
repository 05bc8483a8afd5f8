"""Gathers the audited maps on models with other weights and the same function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.cost import affordable_pairs
from audit.evidence.evenly_spaced import evenly_spaced
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
from audit.interventions.function_preserving import (
    BLOCK_EDITS,
    Edit,
    LayerEdit,
    apply_edit,
    default_edits,
    layer_edits,
    proof,
    proven,
    tolerance,
)
from audit.metrics.similarity import relative_l2, spearman, top_overlap
from audit.models.model_under_audit import ModelUnderAudit

CONTROLLED = 4
PROVEN_ON = 2
AnyEdit = Edit | LayerEdit


@dataclass(frozen=True)
class _Unedited:
    """What every edit is compared with."""

    model: ModelUnderAudit
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
    blocks from the last on, until one is found that moves it alone. Of a model whose blocks are not
    known the edits are those of layers that feed one another, as far as they prove themselves. The
    control is the gradient of the score for the picture, which is a property of the function and
    which no such edit can move: where it moves, it is the numerics that cannot carry the edit.
    """
    dtype = full_dtype(context.model.dtype)
    module = own_copy(context.pristine, dtype)
    model = replace(context.model, module=module, dtype=dtype)
    name = context.roles.audited
    audited = on_explained_tower(context.audited, explained_towers.tokens[name])
    pairs = affordable_pairs(context, costs.operations[name], context.sizes.reparametrized)
    control = _score_gradient(context)
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


def _score_gradient(context: Context) -> Explainer:
    """Absolute gradient of the score for the pixels, largest color channel."""

    def gradient(module: nn.Module, images: Tensor, targets: Tensor, /) -> Tensor:
        with torch.enable_grad():
            pixels = images.requires_grad_()
            score = context.model.with_module(module).score(pixels, targets).sum()
            (slope,) = torch.autograd.grad(score, pixels)
        return slope.abs().amax(1)

    return Explainer("gradient of the score", gradient)


def _entries(context: Context, unedited: _Unedited) -> Iterator[EditedMaps]:
    edits = edits_of(context, unedited.model)
    entries = _entries_of(context, unedited, edits, "function-preserving edits")
    for edit, entry in zip(edits, entries, strict=True):
        yield entry
        if _moved(context, entry, unedited):
            yield from _alone(context, unedited, edit)


def edits_of(context: Context, model: ModelUnderAudit) -> list[AnyEdit]:
    """The edits of all blocks or layers at once that this model has the parts for."""
    if model.anatomy is not None:
        every = default_edits(model.anatomy, context.seed)
        return [e for e in every if e.name not in BLOCK_EDITS or e.block is None]
    some = torch.tensor(evenly_spaced(len(context.pairs), PROVEN_ON))
    inputs = batch(context, some, model.dtype)
    found = (proven(model, e, *inputs) for e in layer_edits(model.module, context.seed))
    return [edit for edit in found if edit is not None]


def _alone(context: Context, unedited: _Unedited, edit: AnyEdit) -> Iterator[EditedMaps]:
    """The edit of single blocks or layers, until one moves the map."""
    anatomy = unedited.model.anatomy
    if isinstance(edit, LayerEdit):
        single: Iterable[AnyEdit] = edit.alone()
    else:
        single = () if anatomy is None else edit.alone(anatomy)
    for one in single:
        (entry,) = _entries_of(context, unedited, [one], "edits of single blocks")
        yield entry
        if _moved(context, entry, unedited):
            return


def _entries_of(
    context: Context, unedited: _Unedited, edits: Sequence[AnyEdit], phase: str
) -> list[EditedMaps]:
    tasks = {
        f"edit, {edit.name} in {edit.place}, block {edit.block}": partial(
            _measured, context, unedited, edit
        )
        for edit in edits
    }
    told = partial(context.progress, phase)
    return context.tasks.all_kept(EditedMaps, tasks, lambda done: told(done, len(edits)))


def _measured(context: Context, unedited: _Unedited, edit: AnyEdit) -> EditedMaps:
    edited = apply_edit(unedited.model, edit)
    images, targets = batch(context, unedited.pairs, unedited.model.dtype)
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
