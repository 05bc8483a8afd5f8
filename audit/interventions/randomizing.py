"""Randomizing interventions: a tower's parameters redrawn from the top down, until none is left.

Cascading randomization (Adebayo et al. 2018). Resetting modules that have `reset_parameters`
misses a transformer's `in_proj_weight`, class token, positions and projection, so parameters are
redrawn by name here, and every one of the tower belongs to a stage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from audit.interventions.copies import copy_with, tower_parameters
from audit.interventions.draws import generator_for, redrawn
from audit.models.anatomy import Anatomy, TowerName, anatomy_of


@dataclass(frozen=True)
class Stage:
    """A step of the cascade.

    Attributes:
        name: what was redrawn last: ``readout``, ``block 3`` and so on, ``embedding``.
        model: a copy of the model with this and every earlier stage redrawn.
        share_reached: share of the tower's parameters (numbers, not tensors) redrawn so far.
    """

    name: str
    model: nn.Module
    share_reached: float


def cascade(model: nn.Module, seed: int, tower: TowerName = "image") -> Iterator[Stage]:
    """Randomize a tower from its readout over its blocks, last to first, to its embedding.

    Each tensor is redrawn as Gaussian of its own mean and standard deviation, LayerNorms included;
    see `redrawn` for constant ones. The other tower and the scale are shared with the model.

    Args:
        model: the model under audit, left as it is.
        seed: which draw.
        tower: which tower.

    Yields:
        One stage per block and one each for readout and embedding; the last has reached every
        parameter of the tower.
    """
    parameters = tower_parameters(anatomy_of(model), tower)
    total = sum(p.numel() for p in parameters.values())
    current, reached = model, 0
    for name, names in stages(anatomy_of(model), tower).items():
        generator = generator_for("cascade", tower, name, seed)
        current = copy_with(current, {n: redrawn(parameters[n], generator) for n in names})
        reached += sum(parameters[n].numel() for n in names)
        yield Stage(name, current, reached / total)


def stages(anatomy: Anatomy, tower: TowerName) -> Mapping[str, tuple[str, ...]]:
    """Names of a tower's parameters by stage of the cascade, in its order; each is in one stage."""
    view = anatomy.tower(tower)
    names = view.names
    readouts = tuple(view.path_to(name) for name in (names.projection, names.final_norm))
    left = list(tower_parameters(anatomy, tower))
    found = {"readout": tuple(n for n in left if n.startswith(readouts))}
    for block in reversed(view.blocks):
        found[f"block {block.index}"] = tuple(n for n in left if n.startswith(f"{block.path}."))
    placed = {name for names in found.values() for name in names}
    return found | {"embedding": tuple(name for name in left if name not in placed)}
