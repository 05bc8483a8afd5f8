"""Gathers quality of the maps and zero-shot accuracy on models of graded performance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.explanations import grid_masks
from audit.evidence.kinds import Explanations, Ladder, Reference, RungInfo
from audit.evidence.reference import class_scores
from audit.evidence.spread import spread
from audit.interventions.degrading import UNMODIFIED, Family, Rung, apply_rung, default_ladder
from audit.metrics.faithfulness import shared_removal_curves
from audit.metrics.fills import FillName
from audit.metrics.localization import chance_corrected_average_precision
from audit.models.anatomy import anatomy_of
from audit.statistics.proportions import proportion_interval

STRENGTH_GRID = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
RUNGS_PER_SEED = 7
FRACTIONS = (0.0, 0.1, 0.3, 0.6, 1.0)
FILL: FillName = "mean"
OTHER_FILL: FillName = "blur"


@dataclass(frozen=True)
class Step:
    """A rung of the ladder, and how its model is made."""

    info: RungInfo
    make: Callable[[], nn.Module]


def gather_ladder(context: Context, reference: Reference, explanations: Explanations) -> Ladder:
    """Measure every rung: accuracy, and the maps of every explainer that reads the model."""
    probed = torch.tensor(spread(len(context.pairs), context.sizes.probed))
    steps = ladder_steps(context, reference)
    rows: list[_Row] = []
    for done, step in enumerate(steps, 1):
        module = step.make().eval()
        rows.append(_measure(context, module, probed, explanations, first=done == 1))
        context.progress("ladder", done, len(steps))
    names = list(rows[0].localization or rows[0].faithfulness)
    first = torch.from_numpy(reference.cosine)
    return Ladder(
        rungs=tuple(step.info for step in steps),
        identity_error=float((rows[0].scores.double() - first).abs().max()),
        correct=np.stack([_correct(row.scores, reference) for row in rows]),
        localization={n: np.stack([r.localization[n] for r in rows]) for n in names}
        if rows[0].localization
        else {},
        faithfulness={n: _on_rungs(rows, n) for n in rows[0].faithfulness},
        faithfulness_range=np.stack([row.range for row in rows]),
        probed=probed.numpy(),
        other_fill=rows[0].other_fill,
        other_fill_range=rows[0].other_range,
    )


def ladder_steps(context: Context, reference: Reference) -> list[Step]:
    """The unmodified model, its degraded copies, and the checkpoints that the user gave.

    A model that is no better than a guess has nothing to lose: it is not degraded.
    """
    rungs: tuple[Rung, ...] = (UNMODIFIED,)
    if context.rungs:
        chosen = [r for r in context.rungs if r.family != "checkpoint"]
        rungs = tuple(Rung(cast("Family", r.family), r.strength, r.seed) for r in chosen)
    elif knows_something(reference):
        seeds = tuple(range(context.sizes.ladder_seeds))
        strengths = spread_strengths(context, reference)
        blocks = len(context.model.anatomy.image.blocks)
        rungs = default_ladder(blocks, seeds, strengths)
    degraded = [
        Step(
            RungInfo(r.name, r.family, float(r.strength), r.seed),
            partial(apply_rung, context.pristine, r),
        )
        for r in rungs
    ]
    given = [
        Step(
            RungInfo(f"checkpoint {c.source}", "checkpoint", float(place), 0, c.sha256),
            partial(c.load, context.pristine),
        )
        for place, c in enumerate(context.checkpoints, 1)
    ]
    return degraded + given


def spread_strengths(context: Context, reference: Reference) -> tuple[float, ...]:
    """Strengths of weight noise whose accuracies spread evenly from the model's down to chance.

    How much noise a model bears differs between models by an order of magnitude. The choice looks
    at accuracy alone, never at a map.
    """
    accuracies = []
    for done, strength in enumerate(STRENGTH_GRID, 1):
        module = apply_rung(context.pristine, Rung("weight-noise", strength, 0)).eval()
        accuracies.append(float(_correct(class_scores(context, module), reference).mean()))
        context.progress("strengths of the ladder", done, len(STRENGTH_GRID))
    targets = np.linspace(float(reference.correct.mean()), reference.chance, RUNGS_PER_SEED + 1)[1:]
    grid = np.minimum.accumulate(np.array(accuracies))
    free = list(range(len(grid)))
    chosen = []
    for target in targets:
        nearest = min(free, key=lambda i: (abs(grid[i] - target), i))
        free.remove(nearest)
        chosen.append(STRENGTH_GRID[nearest])
    return tuple(sorted(chosen))


def knows_something(reference: Reference) -> bool:
    """Whether accuracy is above chance with its whole interval."""
    correct = reference.correct
    return proportion_interval(int(correct.sum()), len(correct)).low > reference.chance


def _on_rungs(rows: list[_Row], name: str) -> np.ndarray:
    """Faithfulness by rung and pair, NaN on rungs where it was not measured."""
    none = np.full(len(rows[0].range), np.nan)
    return np.stack([row.faithfulness.get(name, none) for row in rows])


class _Row:
    """What was measured on one rung."""

    def __init__(self, scores: Tensor) -> None:
        self.scores = scores
        self.localization: dict[str, np.ndarray] = {}
        self.faithfulness: dict[str, np.ndarray] = {}
        self.range: np.ndarray = np.zeros(0)
        self.other_fill: dict[str, np.ndarray] = {}
        self.other_range: np.ndarray = np.zeros(0)


def _measure(
    context: Context,
    module: nn.Module,
    probed: Tensor,
    explanations: Explanations,
    *,
    first: bool,
) -> _Row:
    row = _Row(class_scores(context, module))
    masks = grid_masks(context)
    probed_maps = {}
    for name, explainer in context.explainers.items():
        if explainer.model_free or first:
            maps = torch.from_numpy(explanations.maps[name]).to(torch.float32)
        else:
            maps = context.maps(explainer, module)
        if masks is not None:
            quality = chance_corrected_average_precision(maps, masks)
            row.localization[name] = quality.double().numpy()
        if first or name != context.roles.twin or name in context.roles.positive:
            probed_maps[name] = maps[probed]  # a twin serves P204, on the model itself
    row.faithfulness, row.range = _faithfulness(context, module, probed_maps, probed, FILL)
    if first:
        found = _faithfulness(context, module, probed_maps, probed, OTHER_FILL)
        row.other_fill, row.other_range = found
    return row


@torch.no_grad()
def _faithfulness(
    context: Context, module: nn.Module, maps: dict[str, Tensor], probed: Tensor, fill: FillName
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    anatomy = anatomy_of(module)
    images, tokens = context.pairs.batch(probed, context.model.device, context.model.dtype)
    texts = anatomy.text_features(tokens)

    def score(pictures: Tensor, pair: Tensor) -> Tensor:
        return (anatomy.image_features(pictures) * texts[pair]).sum(-1)

    generator = torch.Generator(device="cpu").manual_seed(context.seed)
    curves = shared_removal_curves(
        score,
        images,
        [one.to(images) for one in maps.values()],
        fill=fill,
        fractions=FRACTIONS,
        generator=generator,
        batch_size=context.batch_size(),
    )
    gaps = [(c.insertion - c.deletion).double().cpu().numpy() for c in curves]
    span = (curves[0].full - curves[0].empty).double().cpu().numpy()
    return dict(zip(maps, gaps, strict=True)), span


def _correct(scores: Tensor, reference: Reference) -> np.ndarray:
    best = scores.argmax(1).numpy()
    return np.asarray(reference.present[np.arange(len(best)), best])
