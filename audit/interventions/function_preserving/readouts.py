"""Edits of a tower's readout: the final norm, and both projections turned together."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audit.interventions.function_preserving.channels import fold_gain
from audit.interventions.function_preserving.matrices import orthogonal
from audit.interventions.function_preserving.parts import (
    EditNotApplicableError,
    Replacements,
    float64,
    norm,
)
from audit.models.anatomy import Anatomy, KnownTower


def fold_final_norm(tower: KnownTower, generator: torch.Generator) -> Replacements:
    """Move the gain of the final norm into the projection, which has no bias to take the shift.

    Raises:
        EditNotApplicableError: where the tower has no such norm or no projection.
    """
    name = tower.names.final_norm
    path = tower.path_to(name)
    gain, shift, scale = fold_gain(norm(tower.module, name), generator)
    return {
        f"{path}.weight": gain,
        f"{path}.bias": shift,
        **_projection(tower, torch.diag(scale), None),
    }


def rotate_projections(anatomy: Anatomy, generator: torch.Generator) -> Replacements:
    """Turn the features of both towers by one orthogonal matrix, which no cosine can see.

    Raises:
        EditNotApplicableError: where a tower has no projection.
    """
    last = _matrix(anatomy.image)
    rotation = orthogonal(int(last.shape[1]), generator)
    return {
        **_projection(anatomy.image, None, rotation),
        **_projection(anatomy.text, None, rotation),
    }


def _projection(tower: KnownTower, before: Tensor | None, after: Tensor | None) -> Replacements:
    """Replacements that turn the projection x -> x P + b into x -> (x ``before``) P ``after``."""
    matrix, layer, path = _matrix(tower), tower.projection, tower.path_to(tower.names.projection)
    matrix = matrix if before is None else before @ matrix
    matrix = matrix if after is None else matrix @ after
    if not isinstance(layer, nn.Linear):
        return {path: matrix}
    changed = {f"{path}.weight": matrix.T.contiguous()}
    if layer.bias is not None and after is not None:
        changed[f"{path}.bias"] = float64(layer.bias) @ after
    return changed


def _matrix(tower: KnownTower) -> Tensor:
    """The projection as a matrix that multiplies features from the right."""
    layer = tower.projection
    if isinstance(layer, nn.Linear):
        return float64(layer.weight).T
    if not isinstance(layer, Tensor):
        path = tower.path_to(tower.names.projection)
        raise EditNotApplicableError(f"expected a projection '{path}', got none")
    return float64(layer)
