"""Gathers the maps while the parameters of the model are drawn anew, from the top down."""

from __future__ import annotations

from collections.abc import Iterator
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
from audit.interventions.draws import generator_for
from audit.interventions.randomizing import cascade, stages
from audit.metrics.similarity import relative_l2
from audit.models.anatomy import Anatomy

MOST_STAGES = 6
WHOLE = "both towers"


def gather_randomization(
    context: Context, costs: Costs, explained_towers: ExplainedTowers
) -> Randomization:
    """Explain some pairs on every stage of the cascade, for several draws, and beside a control.

    The image tower is drawn anew from its readout to its embedding, then the text tower at once.
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
    labels = ("unmodified", *stages_measured(context, 2 if slow else MOST_STAGES), WHOLE)

    def explained(module: nn.Module) -> dict[str, Tensor]:
        return {n: maps_of(context, e, own_copy(module), pairs) for n, e in explainers.items()}

    dtype = context.model.dtype
    before = {n: unedited_maps(context, e, pairs, dtype) for n, e in explainers.items()}
    similarity = {n: np.ones((len(labels), draws, len(pairs))) for n in names}
    anatomy = context.pristine_model.require_anatomy()
    final, reached = [], []
    for draw in range(draws):
        for i, (module, whole) in enumerate(_stages(context, labels, draw)):
            name = f"draw {draw}, stage {labels[i]}"
            after = context.tasks.drawn(name, partial(explained, module))
            for name in names:
                similarity[name][i, draw] = likeness(before[name], after[name]).numpy()
            if whole:
                final.append(after[context.roles.audited])
                reached.append(share_reached(anatomy, module))
            done, every = draw * len(labels) + i + 1, len(labels) * draws
            context.progress("randomized models", done, every)
    ours = before[context.roles.audited]
    return Randomization(
        pairs=pairs.numpy(),
        stages=labels,
        similarity=similarity,
        change=torch.stack([relative_l2(ours, maps) for maps in final]).numpy(),
        reached=np.array(reached),
        unrelated=_between_pictures(ours, context.pairs.picture[pairs]),
        chance=_with_random_maps(ours, context.seed),
        maps=ours.numpy(),
        final_maps=final[0].numpy(),
    )


def stages_measured(context: Context, most: int) -> tuple[str, ...]:
    """Stages of the image tower that are looked at; its last is always among them."""
    every = list(stages(context.model.require_anatomy(), "image"))
    first = evenly_spaced(len(every) - 1, most - 1)
    return (*(every[i] for i in first), every[-1])


def _stages(
    context: Context, labels: tuple[str, ...], draw: int
) -> Iterator[tuple[nn.Module, bool]]:
    yield context.pristine, False
    last: nn.Module = context.pristine
    for stage in cascade(context.pristine, context.seed + draw, "image"):
        last = stage.model
        if stage.name in labels:
            yield last, False
    for stage in cascade(last, context.seed + draw, "text"):
        last = stage.model
    yield last, True


def share_reached(anatomy: Anatomy, randomized: nn.Module) -> float:
    """Share of the parameters, the score's scale left out, that are no longer the model's."""
    drawn = dict(randomized.named_parameters())
    every, apart = anatomy.model.named_parameters(), anatomy.score_parameters
    own = {n: p for n, p in every if n not in apart}
    changed = sum(p.numel() for n, p in own.items() if not torch.equal(p, drawn[n]))
    return changed / sum(p.numel() for p in own.values())


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
