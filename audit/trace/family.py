"""Whether a family of altered states is one of probes around the state that was given.

Masks, occlusions and paths from a baseline keep each place (the color of a pixel, the vector of a
token) on the straight line from a fill or a baseline to the given value; noise scatters around it.
A family made from another picture does neither.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_NOISE = 3.0
_ROUNDING = 1e-3
_SHARE = 0.9
FEWEST = 3


def surrounds(
    family: Float[Tensor, "members places channels"], given: Float[Tensor, "places channels"]
) -> bool:
    """Whether the given values lie on the lines, or in the noise, of a family.

    Args:
        family: altered states, at least three.
        given: the state that they should surround.

    Returns:
        True where at least nine places of ten agree.
    """
    if len(family) < FEWEST:
        return False
    points, target = family.double(), given.double()
    center = points.mean(0)
    spread = (points - center).movedim(0, 1)
    aim = target - center
    values, axes = _principal_axes(spread)
    off = aim - (aim * axes).sum(-1, keepdim=True) * axes
    noise = ((spread.square().sum((1, 2)) - values).clamp(min=0) / (len(family) - 1)).sqrt()
    scale = target.std() + center.std()
    agrees = off.norm(dim=-1) <= _NOISE * noise + _ROUNDING * scale
    return bool(agrees.double().mean() >= _SHARE)


def _principal_axes(
    spread: Float[Tensor, "places members channels"],
) -> tuple[Float[Tensor, " places"], Float[Tensor, "places channels"]]:
    """Largest eigenvalue of each place's scatter, and its axis."""
    if spread.shape[2] <= spread.shape[1]:
        values, vectors = torch.linalg.eigh(spread.mT @ spread)
        return values[:, -1].clamp(min=0), vectors[..., -1]
    values, vectors = torch.linalg.eigh(spread @ spread.mT)
    axes = (vectors[..., -1:].mT @ spread)[:, 0]
    norms = axes.norm(dim=-1, keepdim=True)
    return values[:, -1].clamp(min=0), torch.where(norms > 0, axes / norms.clamp(min=1e-300), axes)


def covers(family: Tensor, given: Tensor) -> bool:
    """Whether every token id of the given text is in its place in some text of a family."""
    return len(family) >= FEWEST and bool((family == given).any(0).all())
