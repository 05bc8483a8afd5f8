"""Gathers quality of the maps and accuracy on models of graded performance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from audit.evidence.context import Context
from audit.evidence.explanations import grid_masks, maps_in_single
from audit.evidence.kinds import Explanations, Ladder, Reference, RungInfo
from audit.evidence.map_faithfulness import probed_pairs
from audit.evidence.rung_scores import RungScores, Step
from audit.evidence.tasks import as_array
from audit.interventions.degrading import UNMODIFIED, Family, Rung, apply_rung, default_ladder
from audit.interventions.model_parts import ModelParts
from audit.metrics.mask_measures import MASK_MEASURES
from audit.statistics.paired_counts import lie_apart
from audit.statistics.proportions import proportion_interval
from audit.trace.records import Array

GRADES: Mapping[Family, Sequence[float]] = {
    "weight-noise": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5),
    "interpolation": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8),
    "removed-heads": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}
RUNGS_PER_SEED = 7
LEAST_BETWEEN = 4
MOST_HALVINGS = 6


def gather_ladder(context: Context, reference: Reference, explanations: Explanations) -> Ladder:
    """Measure every rung: accuracy, and the maps of every explainer that reads the model.

    Maps on the first rung, the unmodified model, are those drawn before.
    """
    class_scores_on = RungScores(context)
    steps = ladder_steps(context, reference, class_scores_on)
    probed = torch.tensor(probed_pairs(context))
    known = maps_in_single(explanations, context.explainers)
    tasks = {
        f"{'rung, ' if place else ''}{step.info.name}": partial(
            _row, context, step, known, probed, class_scores_on, first=place == 0
        )
        for place, step in enumerate(steps)
    }
    told = partial(context.progress, "ladder")
    rows = context.tasks.all_kept(_Row, tasks, lambda done: told(done, len(steps)))
    first = reference.scores
    unit = max(1.0, float(np.abs(first).max()))
    return Ladder(
        rungs=tuple(step.info for step in steps),
        identity_error=float(np.abs(rows[0].scores.astype(np.float64) - first).max()) / unit,
        correct=np.stack([_correct(torch.from_numpy(row.scores), reference) for row in rows]),
        localization={n: np.stack([r.localization[n] for r in rows]) for n in rows[0].localization},
        probed_maps={n: np.stack([r.probed_maps[n] for r in rows]) for n in rows[0].probed_maps},
        left_out=tuple(left_out(context).values()),
    )


def _maps_on_rung(
    context: Context, rung: str, module: nn.Module, known: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Maps of the explainers on a rung; those known stay of one that never looks at the model."""
    found = {}
    for name, one in known.items():
        explainer = context.explainers[name]
        draw = partial(context.maps, explainer, module)
        if explainer.model_free:
            found[name] = one
        elif context.is_of_model(name):
            task = f"maps of {name} on {rung}"
            found[name] = context.tasks.one_drawn(task, draw, of_model=True)
        else:
            found[name] = draw()
    return found


def ladder_steps(
    context: Context, reference: Reference, class_scores_on: RungScores | None = None
) -> list[Step]:
    """The unmodified model, its degraded copies, and its checkpoints, its own and those given.

    Rungs are chosen for the spread of their accuracies: checkpoints first, then degraded copies,
    of which further draws are made only where there are fewer than enough rungs. Those whose
    accuracy is within noise of another's are left out, but for checkpoints that were given. A model
    that is no better than a guess has nothing to lose: it is not degraded.

    Args:
        context: of the audit; where it names the rungs, they are not chosen.
        reference: the model's answers.
        class_scores_on: scores of rungs for the choice of their strength.
    """
    scores = class_scores_on or RungScores(context)
    parts, checkpoints = context.parts(), _checkpoint_steps(context)
    if context.rungs:
        names = {r.name for r in context.rungs}
        chosen = [r for r in context.rungs if r.family != "checkpoint"]
        rungs = [Rung(cast("Family", r.family), r.strength, r.seed) for r in chosen]
        return [_degraded(context, parts, r) for r in rungs] + [
            step for step in checkpoints if step.info.name in names
        ]
    first = [_degraded(context, parts, UNMODIFIED)]
    apart = partial(_apart, reference=reference, class_scores_on=scores)
    given = frozenset(f"checkpoint {c.name}" for c in context.checkpoints if not c.own)
    checkpoints = apart(checkpoints, always=given)
    if not knows_something(reference):
        return first + checkpoints
    graded = [f for f in context.sizes.graded if f not in left_out(context)]
    strengths = {f: spread_strengths(context, parts, reference, f, scores) for f in graded}
    degraded = list[Step]()
    for seed in range(context.sizes.ladder_seeds):
        if 1 + len(checkpoints) + len(degraded) >= context.sizes.rungs:
            break
        drawn = default_ladder(len(parts.blocks), (seed,), strengths)[1:]
        degraded += apart([_degraded(context, parts, r) for r in drawn])
    return first + degraded + checkpoints


def _degraded(context: Context, parts: ModelParts, rung: Rung) -> Step:
    info = RungInfo(rung.name, rung.family, float(rung.strength), rung.seed)
    return Step(info, partial(apply_rung, context.pristine, parts, rung))


def _checkpoint_steps(context: Context) -> list[Step]:
    return [
        Step(
            RungInfo(f"checkpoint {c.name}", "checkpoint", float(place), 0, c.sha256),
            partial(c.load, context.pristine),
        )
        for place, c in enumerate(context.checkpoints, 1)
    ]


def _apart(
    steps: Sequence[Step],
    reference: Reference,
    class_scores_on: RungScores,
    always: frozenset[str] = frozenset(),
) -> list[Step]:
    """Those whose accuracy lies apart from that of the others of their family, and of the first.

    Two rungs lie apart where their accuracies, on the same pictures, differ by more than one
    standard error: else their order is a toss-up, and tells little for the maps that it costs. The
    choice looks at accuracy alone, never at a map.
    """
    kept: list[tuple[str, Array]] = [("", reference.correct)]
    found = []
    scored = zip(steps, class_scores_on.of(steps, "accuracy of the ladder"), strict=True)
    for step, scores in scored:
        right, family = _correct(scores, reference), step.info.family
        rivals = [one for name, one in kept if name in {"", family}]
        if step.info.name in always or all(lie_apart(right, one) for one in rivals):
            kept.append((family, right))
            found.append(step)
    return found


def left_out(context: Context) -> dict[Family, str]:
    """Families of rungs that the profile asks for and this model does not have, and why."""
    wanted = "removed-heads" in context.sizes.graded
    if not wanted or context.pristine_model.anatomy is not None:
        return {}
    why = "No heads are removed on the ladder: which heads this model has is not known."
    return {"removed-heads": why}


def spread_strengths(
    context: Context,
    parts: ModelParts,
    reference: Reference,
    family: Family,
    class_scores_on: RungScores,
) -> tuple[float, ...]:
    """Strengths of a family whose accuracies spread evenly from the model's down to chance.

    How much noise a model bears differs between models by an order of magnitude, and some fall from
    their accuracy to chance between two grades: there the step with the widest fall is halved. The
    choice looks at accuracy alone, never at a map.
    """
    top, chance = float(reference.correct.mean()), reference.chance

    def add(strengths: Sequence[float]) -> None:
        steps = [_degraded(context, parts, Rung(family, strength, 0)) for strength in strengths]
        scored = class_scores_on.of(steps, "strengths of the ladder")
        for strength, scores in zip(strengths, scored, strict=True):
            known[strength] = float(_correct(scores, reference).mean())

    known = {0.0: top}
    least = RUNGS_PER_SEED + 1
    add(GRADES[family][:least])
    for before, strength in itertools.pairwise(GRADES[family][least - 1 :]):
        if known[before] <= chance:
            break  # stronger ones are no better than a guess either
        add([strength])
    for _ in range(MOST_HALVINGS):
        if _between(known, top, chance) >= LEAST_BETWEEN:
            break
        add([_middle_of_widest_fall(known)])
    targets = np.linspace(top, chance, RUNGS_PER_SEED + 1)[1:]
    grades = sorted(known)[1:]
    grid = np.minimum.accumulate(np.array([known[g] for g in grades]))
    free = list(range(len(grid)))
    chosen = []
    for target in targets:
        nearest = min(free, key=lambda i: (abs(grid[i] - target), i))
        free.remove(nearest)
        chosen.append(grades[nearest])
    return tuple(sorted(chosen))


def _between(accuracies: Mapping[float, float], top: float, chance: float) -> int:
    """How many grades lie between the model's accuracy and chance, near neither."""
    near = (top - chance) / (2 * RUNGS_PER_SEED)
    return sum(chance + near < accuracy < top - near for accuracy in accuracies.values())


def _middle_of_widest_fall(accuracies: Mapping[float, float]) -> float:
    """The strength midway between the neighbors whose accuracies lie furthest apart."""
    grades = sorted(accuracies)
    falls = [accuracies[a] - accuracies[b] for a, b in itertools.pairwise(grades)]
    widest = int(np.argmax(falls))
    return (grades[widest] + grades[widest + 1]) / 2


def knows_something(reference: Reference) -> bool:
    """Whether accuracy is above chance with its whole interval."""
    correct = reference.correct
    return proportion_interval(int(correct.sum()), len(correct)).low > reference.chance


@dataclass(frozen=True)
class _Row:
    """What was measured on one rung."""

    scores: Array
    localization: dict[str, Array]
    probed_maps: dict[str, Array]


def _row(
    context: Context,
    step: Step,
    known: Mapping[str, Tensor],
    probed: Tensor,
    class_scores_on: RungScores,
    *,
    first: bool,
) -> _Row:
    """Measure one rung; maps on the first one, the unmodified model, are those known."""
    (scores,) = class_scores_on.of([step])
    module = step.make().eval()
    maps = known if first else _maps_on_rung(context, step.info.name, module, known)
    few = {name: found[probed].double().numpy() for name, found in maps.items()}
    return _Row(as_array(scores), _localization(context, maps), few)


def _localization(context: Context, maps: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    masks = grid_masks(context)
    if masks is None:
        return {}
    measure = MASK_MEASURES[context.quality[0].name]
    return {name: measure(one, masks).double().numpy() for name, one in maps.items()}


def _correct(scores: Tensor, reference: Reference) -> np.ndarray:
    best = scores.argmax(1).numpy()
    return np.asarray(reference.present[np.arange(len(best)), best])
