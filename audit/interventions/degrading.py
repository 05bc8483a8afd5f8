"""Degrading interventions: copies of a model of graded performance, the rungs of a ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from audit.interventions.copies import copy_with, tower_parameters
from audit.interventions.draws import generator_for, noisy, redrawn
from audit.models.anatomy import anatomy_of

Family = Literal["unmodified", "weight-noise", "random-blocks", "interpolation", "removed-heads"]


@dataclass(frozen=True)
class Rung:
    """A model of graded performance.

    Attributes:
        family: how the image tower is degraded.
        strength: relative noise, number of blocks, or a share, by family; 0 leaves the model as is.
        seed: which draw.
    """

    family: Family
    strength: float
    seed: int

    @property
    def name(self) -> str:
        """What the rung is called in reports; unique in a ladder."""
        if self.family == "unmodified":
            return "unmodified"
        return f"{self.family} {self.strength:g} seed {self.seed}"


UNMODIFIED = Rung("unmodified", 0.0, 0)


def default_ladder(
    tower_blocks: int, seeds: Sequence[int], strengths: Mapping[Family, Sequence[float]]
) -> tuple[Rung, ...]:
    """The unmodified model, families of several strengths, and half or all blocks random.

    Args:
        tower_blocks: number of blocks of the image tower.
        seeds: draws of each rung; two, and seven strengths, give 19 rungs for a tower of two or
            more blocks.
        strengths: of each family that has grades.
    """
    counts = sorted({max(1, tower_blocks // 2), tower_blocks})
    return (
        UNMODIFIED,
        *(Rung(f, s, seed) for f, grades in strengths.items() for s in grades for seed in seeds),
        *(Rung("random-blocks", float(c), seed) for c in counts for seed in seeds),
    )


def apply_rung(model: nn.Module, rung: Rung) -> nn.Module:
    """A copy of the model on this rung; it shares every tensor that the rung does not change.

    Args:
        model: the model under audit, left as it is.
        rung: the rung; strength 0 gives a copy that shares all tensors, hence is bit-identical.

    Raises:
        ValueError: the rung's family is not known, or its strength is out of range.
    """
    generator = generator_for("rung", rung.family, rung.strength, rung.seed)
    if rung.family == "unmodified":
        return copy_with(model, {})
    if rung.family == "weight-noise":
        return weight_noise(model, rung.strength, generator)
    if rung.family == "random-blocks":
        return randomize_blocks(model, round(rung.strength), generator)
    if rung.family == "interpolation":
        return interpolate_to_random(model, rung.strength, generator)
    if rung.family == "removed-heads":
        return remove_heads(model, rung.strength, generator)
    raise ValueError(f"expected a known family of rungs, got '{rung.family}'")


def weight_noise(model: nn.Module, strength: float, generator: torch.Generator) -> nn.Module:
    """Add Gaussian noise to every weight of the image tower, relative to its standard deviation.

    Weights are the tensors of two or more axes: convolution, positions, projections, MLP. Noise on
    norms and biases as well would bring a deep tower down at once, and leave no grades between.

    Args:
        model: the model, left as it is; the text tower and the scale are shared.
        strength: standard deviation of the noise over that of each tensor, 0 or more.
        generator: on the CPU.

    Raises:
        ValueError: for a negative strength.
    """
    if strength < 0:
        raise ValueError(f"expected a noise strength of 0 or more, got {strength}")
    if strength == 0:
        return copy_with(model, {})
    parameters = tower_parameters(anatomy_of(model), "image")
    weights = {n: p for n, p in parameters.items() if p.ndim >= 2}
    return copy_with(model, {n: noisy(p, strength, generator) for n, p in weights.items()})


def randomize_blocks(model: nn.Module, count: int, generator: torch.Generator) -> nn.Module:
    """Redraw every tensor of the topmost blocks of the image tower, mean and spread matched.

    Args:
        model: the model, left as it is.
        count: how many blocks, from the top; 0 to all.
        generator: on the CPU.

    Raises:
        ValueError: where the tower has fewer blocks.
    """
    anatomy = anatomy_of(model)
    blocks = anatomy.image.blocks
    if not 0 <= count <= len(blocks):
        raise ValueError(f"expected between 0 and {len(blocks)} blocks to randomize, got {count}")
    paths = tuple(f"{block.path}." for block in blocks[len(blocks) - count :])
    parameters = tower_parameters(anatomy, "image")
    chosen = {n: p for n, p in parameters.items() if n.startswith(paths)}
    return copy_with(model, {n: redrawn(p, generator) for n, p in chosen.items()})


def interpolate_to_random(
    model: nn.Module, strength: float, generator: torch.Generator
) -> nn.Module:
    """Move every tensor of the image tower on a straight line to a random one of equal moments.

    Args:
        model: the model, left as it is.
        strength: 0 is the model, 1 a random tower.
        generator: on the CPU.

    Raises:
        ValueError: where the strength is not in [0, 1].
    """
    _check_share(strength)
    if strength == 0:
        return copy_with(model, {})
    parameters = tower_parameters(anatomy_of(model), "image")
    ends = {n: redrawn(p, generator) for n, p in parameters.items()}
    return copy_with(
        model, {n: p.detach().cpu().lerp(ends[n], strength) for n, p in parameters.items()}
    )


def remove_heads(model: nn.Module, share: float, generator: torch.Generator) -> nn.Module:
    """Silence a share of all heads of the image tower: their columns of the projection become zero.

    Args:
        model: the model, left as it is.
        share: of the heads of all blocks together, in [0, 1], rounded to whole heads.
        generator: on the CPU; which heads.

    Raises:
        ValueError: where the share is not in [0, 1].
    """
    _check_share(share)
    blocks = anatomy_of(model).image.blocks
    heads = [(block, head) for block in blocks for head in range(block.heads)]
    order = torch.randperm(len(heads), generator=generator).tolist()
    changed: dict[str, torch.Tensor] = {}
    for index in order[: round(share * len(heads))]:
        block, head = heads[index]
        name, width = block.path_to(block.names.projection, "weight"), block.head_width
        weight = changed.get(name, block.part(block.names.projection).weight).detach().clone()
        weight[:, head * width : (head + 1) * width] = 0
        changed[name] = weight
    return copy_with(model, changed)


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share between 0 and 1, got {share}")
