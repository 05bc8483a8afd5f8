"""Gathers the maps while the parameters of the model are drawn anew, from the top down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.cost import affordable_pairs, is_expensive
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.explained_copies import (
    likeness,
    maps_of,
    own_copy,
    unedited_maps,
)
from audit.evidence.explained_towers import on_explained_tower
from audit.evidence.kinds import Costs, ExplainedTowers, Randomization
from audit.explainers.contract import Explainer
from audit.interventions.draws import generator_for
from audit.interventions.model_parts import ModelParts
from audit.interventions.randomizing import cascade, share_reached
from audit.metrics.similarity import relative_l2

MOST_STAGES = 6
WHOLE = "both towers"
_REACHED = "share reached"


def gather_randomization(
    context: Context, costs: Costs, explained_towers: ExplainedTowers
) -> Randomization:
    """Explain some pairs on every stage of the cascade, for several draws, and beside a control.

    What looks at the picture is drawn anew from its readout to its embedding, then the text tower
    at once where there is one.
    Of deep towers, and for explainers that cost a lot, a few stages are looked at. The first stage
    is an equal copy of the model: what is less than 1 there, the explainer's own randomness
    explains.
    """
    names = (context.roles.audited, *context.roles.positive[:1])
    tokens = explained_towers.tokens
    explainers = {n: on_explained_tower(context.explainers[n], tokens[n]) for n in names}
    dearest = max(costs.operations[n] for n in names)
    slow = is_expensive(dearest)
    pairs = affordable_pairs(context, dearest, context.sizes.randomized)
    draws = 1 if slow else context.sizes.randomizations
    parts = context.parts()
    labels = ("unmodified", *stages_measured(parts, 2 if slow else MOST_STAGES))
    labels += (WHOLE,) if parts.text else ()

    dtype = context.model.dtype
    before = {n: unedited_maps(context, e, pairs, dtype) for n, e in explainers.items()}
    cascades = {
        f"cascade, draw {draw}": partial(
            _explained, context, explainers, pairs, partial(_stages, context, parts, labels, draw),
            [f"stage, {label} of draw {draw}" for label in labels], parts.apart,
        )
        for draw in range(draws)
    }  # fmt: skip
    drawn = context.tasks.all_drawn(
        cascades, lambda done: context.progress("randomized models", done, draws)
    )
    similarity = {n: np.ones((len(labels), draws, len(pairs))) for n in names}
    for draw, found in enumerate(drawn):
        for name in names:
            for i, maps in enumerate(found[name]):
                similarity[name][i, draw] = likeness(before[name], maps).numpy()
    final = [found[context.roles.audited][-1] for found in drawn]
    ours = before[context.roles.audited]
    return Randomization(
        pairs=pairs.numpy(),
        stages=labels,
        similarity=similarity,
        change=torch.stack([relative_l2(ours, maps) for maps in final]).numpy(),
        reached=np.array([float(found[_REACHED]) for found in drawn]),
        unrelated=_between_pictures(ours, context.pairs.picture[pairs]),
        chance=_with_random_maps(ours, context.seed),
        maps=ours.numpy(),
        final_maps=final[0].numpy(),
    )


def _explained(
    context: Context,
    explainers: Mapping[str, Explainer],
    pairs: Int[Tensor, " n"],
    stages: Callable[[], Iterator[nn.Module]],
    names: Sequence[str],
    apart: tuple[str, ...],
) -> dict[str, Tensor]:
    """Maps on every stage, (stages, pairs, rows, columns) by explainer, and how far the last went.

    Args:
        context: of the audit.
        explainers: by name.
        pairs: indices of the pairs.
        stages: the models, one after the other.
        names: of the tasks, one a stage.
        apart: weights that do not count in how far the last went.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in explainers}

    def maps(module: nn.Module) -> dict[str, Tensor]:
        return {n: maps_of(context, e, own_copy(module), pairs) for n, e in explainers.items()}

    module: nn.Module = context.pristine
    for name, module in zip(names, stages(), strict=True):
        for explainer, drawn in context.tasks.drawn(name, partial(maps, module)).items():
            found[explainer].append(drawn)
    reached = share_reached(context.pristine, module, apart)
    return {n: torch.stack(one) for n, one in found.items()} | {
        _REACHED: torch.tensor(reached, dtype=torch.float64)
    }


def stages_measured(parts: ModelParts, most: int) -> tuple[str, ...]:
    """Stages of what looks at the picture that are looked at; its last is always among them."""
    every = list(parts.image)
    first = evenly_spaced(len(every) - 1, most - 1)
    return (*(every[i] for i in first), every[-1])


def _stages(
    context: Context, parts: ModelParts, labels: tuple[str, ...], draw: int
) -> Iterator[nn.Module]:
    """The unmodified model, and the stages of these labels."""
    yield context.pristine
    last: nn.Module = context.pristine
    for stage in cascade(context.pristine, parts.image, context.seed + draw, "image"):
        last = stage.model
        if stage.name in labels:
            yield last
    if parts.text:
        for stage in cascade(last, parts.text, context.seed + draw, "text"):
            last = stage.model
        yield last


def _between_pictures(
    maps: Float[Tensor, "n rows columns"], picture: Int[Tensor, " n"]
) -> np.ndarray:
    one, other = torch.triu_indices(len(maps), len(maps), 1)
    differ = picture[one] != picture[other]
    one, other = one[differ], other[differ]
    return likeness(maps[one], maps[other]).numpy() if len(one) else np.zeros(0)


def _with_random_maps(maps: Float[Tensor, "n rows columns"], seed: int) -> np.ndarray:
    generator = generator_for("random maps", seed)
    many = maps.repeat(max(1, 128 // len(maps)), 1, 1)
    drawn = torch.rand(many.shape, generator=generator, dtype=many.dtype)
    return likeness(many, drawn).numpy()
