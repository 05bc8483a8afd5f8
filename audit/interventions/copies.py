"""Copies of a model that own what was changed and share everything else with the original."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def copy_with(model: nn.Module, replacements: Mapping[str, Tensor]) -> nn.Module:
    """Copy a model with some of its parameters or buffers replaced; the original stays as it is.

    The copy has modules and parameters of its own, so that hooks, flags and gradients on it do not
    reach the original, but an unchanged tensor shares the original's storage. A replaced tensor
    that is tied to another name is replaced under both.

    Args:
        model: the model.
        replacements: new values by dotted name; moved to the tensor's device and cast to its dtype.

    Raises:
        KeyError: a name is no parameter or buffer of the model.
        ValueError: a value has another shape than its tensor.
    """
    known: dict[str, Tensor] = dict(model.named_parameters(remove_duplicate=False))
    known |= model.named_buffers(remove_duplicate=False)
    memo: dict[int, Any] = {id(t): t.detach() for t in _plain_tensors(model)}
    memo |= {id(b): b.detach() for b in model.buffers()}
    memo |= {id(p): _like(p, p) for p in model.parameters()}
    for name, value in replacements.items():
        if name not in known:
            raise KeyError(f"expected the name of a parameter of the model, got '{name}'")
        original = known[name]
        if value.shape != original.shape:
            raise ValueError(
                f"parameter '{name}': expected shape {tuple(original.shape)}, got "
                f"{tuple(value.shape)}"
            )
        memo[id(original)] = _like(value, original)
    return copy.deepcopy(model, memo)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint of the model holds, by name: parameters, and the buffers that are saved.

    Numbers that count or index, and buffers that are made anew with the model, are no weights.
    """
    saved = model.state_dict().keys()
    found: dict[str, Tensor] = dict(model.named_parameters())
    found |= {name: b for name, b in model.named_buffers() if name in saved}
    return {name: tensor for name, tensor in found.items() if tensor.is_floating_point()}


def _like(value: Tensor, original: Tensor) -> Tensor:
    value = value.detach().to(device=original.device, dtype=original.dtype)
    if not isinstance(original, nn.Parameter):
        return value
    return nn.Parameter(value, requires_grad=original.requires_grad)


def _plain_tensors(model: nn.Module) -> list[Tensor]:
    """Tensors held as plain attributes, which are neither parameters nor buffers."""
    return [v for m in model.modules() for v in vars(m).values() if isinstance(v, Tensor)]
