"""Degrading interventions: copies of a model of graded performance, the rungs of a ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from audit.interventions.copies import copy_with, weights_of
from audit.interventions.draws import generator_for, noisy, redrawn
from audit.interventions.model_parts import ModelParts
from audit.models.anatomy import UnknownAnatomyError

Family = Literal["unmodified", "weight-noise", "random-blocks", "interpolation", "removed-heads"]


@dataclass(frozen=True)
class Rung:
    """A model of graded performance.

    Attributes:
        family: how what looks at the picture is degraded.
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
        tower_blocks: number of blocks of the image tower, or of stages where they are not known.
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


def apply_rung(model: nn.Module, parts: ModelParts, rung: Rung) -> nn.Module:
    """A copy of the model on this rung; it shares every tensor that the rung does not change.

    Args:
        model: the model under audit, left as it is.
        parts: of the model.
        rung: the rung; strength 0 gives a copy that shares all tensors, hence is bit-identical.

    Raises:
        ValueError: the rung's family is not known, or its strength is out of range.
    """
    generator = generator_for("rung", rung.family, rung.strength, rung.seed)
    if rung.family == "unmodified":
        return copy_with(model, {})
    if rung.family == "weight-noise":
        return weight_noise(model, parts, rung.strength, generator)
    if rung.family == "random-blocks":
        return randomize_blocks(model, parts, round(rung.strength), generator)
    if rung.family == "interpolation":
        return interpolate_to_random(model, parts, rung.strength, generator)
    if rung.family == "removed-heads":
        return remove_heads(model, parts, rung.strength, generator)
    raise ValueError(f"expected a known family of rungs, got '{rung.family}'")


def weight_noise(
    model: nn.Module, parts: ModelParts, strength: float, generator: torch.Generator
) -> nn.Module:
    """Add Gaussian noise to what looks at the picture, relative to each tensor's spread.

    Noise goes to parameters of two or more axes: convolution, positions, projections, MLP. Noise
    on norms and biases as well would bring a deep tower down at once, and leave no grades between.

    Args:
        model: the model, left as it is; text tower or class head, and the scale, are shared.
        parts: of the model.
        strength: standard deviation of the noise over that of each tensor, 0 or more.
        generator: on the CPU.

    Raises:
        ValueError: for a negative strength.
    """
    if strength < 0:
        raise ValueError(f"expected a noise strength of 0 or more, got {strength}")
    if strength == 0:
        return copy_with(model, {})
    chosen = {n: w for n, w in _image_weights(model, parts).items() if _is_matrix(w)}
    return copy_with(model, {n: noisy(w, strength, generator) for n, w in chosen.items()})


def randomize_blocks(
    model: nn.Module, parts: ModelParts, count: int, generator: torch.Generator
) -> nn.Module:
    """Redraw every tensor of the topmost blocks of the image tower, mean and spread matched.

    Args:
        model: the model, left as it is.
        parts: of the model; where its blocks are not known, its stages stand for them.
        count: how many blocks, from the top; 0 to all.
        generator: on the CPU.

    Raises:
        ValueError: where the tower has fewer blocks.
    """
    blocks = parts.blocks
    if not 0 <= count <= len(blocks):
        raise ValueError(f"expected between 0 and {len(blocks)} blocks to randomize, got {count}")
    names = {name for block in blocks[:count] for name in parts.image[block]}
    chosen = {n: w for n, w in _image_weights(model, parts).items() if n in names}
    return copy_with(model, {n: redrawn(w, generator) for n, w in chosen.items()})


def interpolate_to_random(
    model: nn.Module, parts: ModelParts, strength: float, generator: torch.Generator
) -> nn.Module:
    """Move every tensor of the image tower on a straight line to a random one of equal moments.

    Args:
        model: the model, left as it is.
        parts: of the model.
        strength: 0 is the model, 1 a random tower.
        generator: on the CPU.

    Raises:
        ValueError: where the strength is not in [0, 1].
    """
    _check_share(strength)
    if strength == 0:
        return copy_with(model, {})
    weights = _image_weights(model, parts)
    ends = {n: redrawn(w, generator) for n, w in weights.items()}
    return copy_with(
        model, {n: w.detach().cpu().lerp(ends[n], strength) for n, w in weights.items()}
    )


def remove_heads(
    model: nn.Module, parts: ModelParts, share: float, generator: torch.Generator
) -> nn.Module:
    """Silence a share of all heads of the image tower: their columns of the projection become zero.

    Args:
        model: the model, left as it is.
        parts: of the model.
        share: of the heads of all blocks together, in [0, 1], rounded to whole heads.
        generator: on the CPU; which heads.

    Raises:
        ValueError: where the share is not in [0, 1].
        UnknownAnatomyError: where the heads of the model are not known.
    """
    _check_share(share)
    if parts.anatomy is None:
        raise UnknownAnatomyError(
            f"expected a model whose heads are known, got {type(model).__name__}; leave the family "
            "'removed-heads' out"
        )
    blocks = parts.anatomy.image.blocks
    heads = [(block, head) for block in blocks for head in range(block.heads)]
    order = torch.randperm(len(heads), generator=generator).tolist()
    changed: dict[str, torch.Tensor] = {}
    for index in order[: round(share * len(heads))]:
        block, head = heads[index]
        name, width = block.path_to(block.names.projection, "weight"), block.head_width
        weight = changed.get(name, model.get_parameter(name)).detach().clone()
        weight[:, head * width : (head + 1) * width] = 0
        changed[name] = weight
    return copy_with(model, changed)


def _image_weights(model: nn.Module, parts: ModelParts) -> dict[str, torch.Tensor]:
    """Those of what looks at the picture, in the model's order."""
    names = set(parts.image_weights)
    return {n: w for n, w in weights_of(model).items() if n in names}


def _is_matrix(weight: torch.Tensor) -> bool:
    return isinstance(weight, nn.Parameter) and weight.ndim >= 2


def _check_share(share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share between 0 and 1, got {share}")
