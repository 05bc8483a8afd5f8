"""Copies of a model that own what was changed and share everything else with the original."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from audit.models.anatomy import Anatomy, TowerName


def copy_with(model: nn.Module, replacements: Mapping[str, Tensor]) -> nn.Module:
    """Copy a model with some of its parameters replaced; the original is never written to.

    The copy has modules and parameters of its own, so that hooks, flags and gradients on it do not
    reach the original, but an unchanged tensor shares the original's storage. A replaced parameter
    that is tied to another name is replaced under both.

    Args:
        model: the model.
        replacements: new values by dotted parameter name; moved to the parameter's device and
            cast to its dtype.

    Raises:
        KeyError: a name is no parameter of the model.
        ValueError: a value has another shape than its parameter.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    memo: dict[int, Any] = {id(t): t.detach() for t in _plain_tensors(model)}
    memo |= {id(b): b.detach() for b in model.buffers()}
    memo |= {id(p): _parameter(p, p) for p in model.parameters()}
    for name, value in replacements.items():
        if name not in parameters:
            raise KeyError(f"expected the name of a parameter of the model, got '{name}'")
        original = parameters[name]
        if value.shape != original.shape:
            raise ValueError(
                f"parameter '{name}': expected shape {tuple(original.shape)}, got "
                f"{tuple(value.shape)}"
            )
        memo[id(original)] = _parameter(value, original)
    return copy.deepcopy(model, memo)


def tower_parameters(anatomy: Anatomy, tower: TowerName) -> dict[str, nn.Parameter]:
    """Parameters of one tower by their dotted name in the model, the score's scale left out."""
    inside = anatomy.tower(tower).path
    outside = anatomy.image.path if tower == "text" else None
    return {
        name: parameter
        for name, parameter in anatomy.model.named_parameters()
        if (not inside or name.startswith(f"{inside}."))
        and not (outside and name.startswith(f"{outside}."))
        and name not in anatomy.score_parameters
    }


def _parameter(value: Tensor, like: nn.Parameter) -> nn.Parameter:
    value = value.detach().to(device=like.device, dtype=like.dtype)
    return nn.Parameter(value, requires_grad=like.requires_grad)


def _plain_tensors(model: nn.Module) -> list[Tensor]:
    """Tensors held as plain attributes, which are neither parameters nor buffers."""
    return [v for m in model.modules() for v in vars(m).values() if isinstance(v, Tensor)]
