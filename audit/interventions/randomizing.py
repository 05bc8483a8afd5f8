"""Randomizing interventions: weights redrawn from the top down, until none is left.

Cascading randomization (Adebayo et al. 2018). Resetting modules that have `reset_parameters`
misses a transformer's `in_proj_weight`, class token, positions and projection, and the statistics
of a batch norm, so weights are redrawn by name here, and every one belongs to a stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from audit.interventions.copies import copy_with, weights_of
from audit.interventions.draws import generator_for, redrawn
from audit.interventions.model_parts import Stages
from audit.models.anatomy import TowerName


@dataclass(frozen=True)
class Stage:
    """A step of the cascade.

    Attributes:
        name: what was redrawn last.
        model: a copy of the model with this and every earlier stage redrawn.
        share_reached: share of the weights of all stages (numbers, not tensors) redrawn so far.
    """

    name: str
    model: nn.Module
    share_reached: float


def cascade(
    model: nn.Module, stages: Stages, seed: int, tower: TowerName = "image"
) -> Iterator[Stage]:
    """Randomize a tower stage by stage.

    Each tensor is redrawn as Gaussian of its own mean and standard deviation, norms included; see
    `redrawn` for constant ones, and for variances, which stay positive. All else is shared with the
    model.

    Args:
        model: the model under audit, left as it is.
        stages: of the tower, from its readout to its embedding.
        seed: which draw.
        tower: which tower they are of.

    Yields:
        One per stage; the last has reached every weight of them.
    """
    weights = weights_of(model)
    total = sum(weights[n].numel() for names in stages.values() for n in names)
    current, reached = model, 0
    for stage, names in stages.items():
        generator = generator_for("cascade", tower, stage, seed)
        current = copy_with(current, {n: redrawn(weights[n], generator) for n in names})
        reached += sum(weights[n].numel() for n in names)
        yield Stage(stage, current, reached / total)


def share_reached(model: nn.Module, randomized: nn.Module, apart: tuple[str, ...] = ()) -> float:
    """Share of the weights, but those apart, that are no longer the model's."""
    drawn = weights_of(randomized)
    own = {n: w for n, w in weights_of(model).items() if n not in apart}
    changed = sum(w.numel() for n, w in own.items() if bool((w != drawn[n]).any()))
    return changed / sum(w.numel() for w in own.values())
