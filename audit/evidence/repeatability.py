"""Gathers the map of a pair alone, in other company, and a second time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.cost import affordable_pairs
from audit.evidence.explained_copies import (
    batch,
    common_random_numbers,
    numerical_noise,
    on_patches,
    own_copy,
    unedited_maps,
)
from audit.evidence.explained_towers import on_explained_tower
from audit.evidence.kinds import Costs, ExplainedTowers, Repeatability
from audit.explainers.contract import Explainer, run_explainer
from audit.metrics.similarity import relative_l2
from audit.trace.records import Array
from audit.trace.tracing import watched

AGAIN, AFTER, WATCHED = "again", "again, after another call", "again, watched by the trace"
ITSELF = "beside itself"
Inputs = tuple[Float[Tensor, "n 3 H W"], Int[Tensor, "n ..."]]
Maps = Float[Tensor, "n rows columns"]


def gather_repeatability(
    context: Context, costs: Costs, explained_towers: ExplainedTowers
) -> Repeatability:
    """Explain a few pairs one by one, and each again in batches of different company.

    The company is made of the other pairs, of mirrored pictures, and of the picture itself with
    other texts. The same call is repeated, also after another one, and watched by the trace.
    Global random numbers go on from run to run, as they do in use.
    """
    name, dtype = context.roles.audited, context.model.dtype
    audited = on_explained_tower(context.audited, explained_towers.tokens[name])
    pairs = affordable_pairs(context, costs.operations[name], context.sizes.repeated)
    alone, changed = _kept_runs(context, audited, pairs, "the explainer in other company")
    control = np.zeros((len(changed), len(pairs)))
    for other in context.roles.positive[:1]:
        faithful = context.explainers[other]
        base, others = _kept_runs(context, faithful, pairs, "a control in other company")
        control = torch.stack([relative_l2(base, maps) for maps in others.values()]).numpy()
    repeats = [maps for what, maps in changed.items() if what in (AGAIN, AFTER, ITSELF)]
    maps = torch.stack(list(changed.values()))
    unedited = unedited_maps(context, audited, pairs, dtype)
    return Repeatability(
        pairs=pairs.numpy(),
        conditions=tuple(changed),
        relative_l2=torch.stack([relative_l2(alone, one) for one in maps]).numpy(),
        largest=torch.stack([_largest(alone, one) for one in maps]).numpy(),
        control=control,
        repeats=torch.stack([relative_l2(alone, one) for one in repeats]).numpy(),
        noise=numerical_noise(context, audited, pairs, unedited, dtype).numpy(),
        resolution=float(torch.finfo(dtype).eps),
        maps=alone.numpy(),
        changed_maps=maps.numpy(),
    )


@dataclass(frozen=True)
class _Runs:
    """Maps of pairs alone, (n, rows, columns), and under each condition, one more axis."""

    conditions: tuple[str, ...]
    alone: Array
    changed: Array


def _kept_runs(
    context: Context, explainer: Explainer, pairs: Int[Tensor, " n"], phase: str
) -> tuple[Maps, Mapping[str, Maps]]:
    """One task, since what an explainer keeps between calls is part of what is measured."""

    def measure() -> _Runs:
        alone, changed = _runs(context, explainer, pairs, phase)
        return _Runs(tuple(changed), alone.numpy(), torch.stack(list(changed.values())).numpy())

    found = context.tasks.kept(phase, _Runs, measure)
    return torch.from_numpy(found.alone), dict(
        zip(found.conditions, torch.from_numpy(found.changed), strict=True)
    )


def _runs(
    context: Context, explainer: Explainer, pairs: Int[Tensor, " n"], phase: str
) -> tuple[Maps, Mapping[str, Maps]]:
    """Maps alone, and under each condition, all on one copy of the model."""
    module = own_copy(context.pristine)
    images, targets = batch(context, pairs, context.model.dtype)
    conditions = _conditions(context, images, targets, pairs)
    found: list[Maps] = []
    for done, call in enumerate((_one_by_one(images, targets), *conditions.values()), 1):
        with common_random_numbers(context.seed + done):
            found.append(context.guarded(lambda _, call=call: call(context, explainer, module)))  # type: ignore[misc]
        context.progress(phase, done, len(conditions) + 1)
    return found[0], dict(zip(conditions, found[1:], strict=True))


Call = Callable[[Context, Explainer, nn.Module], Maps]


def _conditions(
    context: Context, images: Tensor, targets: Tensor, pairs: Int[Tensor, " n"]
) -> dict[str, Call]:
    """What is different, in words, and how to explain the pairs under it."""
    alone = _one_by_one(images, targets)
    again = {AGAIN: alone, AFTER: _after_another(images, targets), WATCHED: _watched(alone, images)}
    order = torch.arange(len(pairs)).flip(0)
    mirrored = images.flip(3)
    return again | {
        ITSELF: _each(images, [row.expand(3, *row.shape) for row in targets]),
        "in a batch": _together((images, targets), torch.arange(len(pairs))),
        "in a batch in reverse, with mirrored pictures": _together(
            (torch.cat([mirrored, images[order]]), torch.cat([targets.roll(1, 0), targets[order]])),
            len(pairs) + order.argsort(),
        ),
        "beside the same picture with other targets": _each(
            images, [_with_other_texts(context, int(p), targets[i]) for i, p in enumerate(pairs)]
        ),
    }


def _one_by_one(images: Tensor, targets: Tensor) -> Call:
    return _each(images, [targets[i : i + 1] for i in range(len(targets))])


def _after_another(images: Tensor, targets: Tensor) -> Call:
    """The same calls after one more: what happens at every second call meets other pairs."""

    def call(context: Context, explainer: Explainer, module: nn.Module) -> Maps:
        _explained(context, explainer, module, (images[-1:], targets[-1:]))
        return _one_by_one(images, targets)(context, explainer, module)

    return call


def _watched(alone: Call, images: Tensor) -> Call:
    """The same calls under the instrument of the trace."""

    def call(context: Context, explainer: Explainer, module: nn.Module) -> Maps:
        return watched(lambda: alone(context, explainer, module), images.device)

    return call


def _each(images: Tensor, targets: list[Tensor]) -> Call:
    """One call per picture, with one or more texts of which the last is the pair's."""

    def call(context: Context, explainer: Explainer, module: nn.Module) -> Maps:
        parts = [
            _explained(context, explainer, module, (row.expand(len(texts), -1, -1, -1), texts))[-1:]
            for row, texts in zip(images, targets, strict=True)
        ]
        return torch.cat(parts)

    return call


def _together(inputs: Inputs, rows: Int[Tensor, " kept"]) -> Call:
    """One call for all, of which some rows are kept."""

    def call(context: Context, explainer: Explainer, module: nn.Module) -> Maps:
        return _explained(context, explainer, module, inputs)[rows]

    return call


def _explained(context: Context, explainer: Explainer, module: nn.Module, inputs: Inputs) -> Maps:
    images, targets = (part.contiguous() for part in inputs)
    maps = run_explainer(explainer, module, images, targets).maps
    return on_patches(maps, context).cpu().double()


def _with_other_texts(context: Context, pair: int, own: Tensor) -> Tensor:
    every = context.pairs.targets.to(own.device)
    label = int(context.pairs.labels[pair])
    others = [i for i in range(len(every)) if i != label][:2]
    return torch.cat([every[others], own[None]])


def _largest(alone: Maps, other: Maps) -> Float[Tensor, " n"]:
    """Largest difference over the largest absolute value of the map alone."""
    gap = (alone - other).abs().flatten(1).amax(1)
    size = alone.abs().flatten(1).amax(1)
    return torch.where(gap == 0, 0.0, gap / size)
