"""What makes up a module besides the values of its tensors: classes, attributes, hooks, flags."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules import module as module_globals

BACKWARD_HOOKS = ("_backward_hooks", "_backward_pre_hooks")
PASSING_HOOKS = ("_forward_hooks", "_forward_pre_hooks", *BACKWARD_HOOKS)
HOOKS = (*PASSING_HOOKS, "_state_dict_hooks")
GLOBAL_HOOKS = tuple(
    name
    for name, value in vars(module_globals).items()
    if name.startswith("_global_") and name.endswith("_hooks") and isinstance(value, dict)
)
_PLAIN = (int, float, bool, str, tuple, type(None))


@dataclass(frozen=True)
class ModuleState:
    """A module as it was; objects by their identity."""

    module: nn.Module
    type: type
    plain: dict[str, object]
    callables: dict[str, int]
    children: dict[str, int]
    parameters: dict[str, int]
    hooks: dict[str, frozenset[int]]
    flags: dict[str, bool]


def owners_of(states: Iterable[ModuleState]) -> set[type]:
    """The classes of modules and those that they derive from, without the common base."""
    every = {owner for state in states for owner in state.type.__mro__}
    return every - {nn.Module, object}


def methods_of(owner: type) -> dict[str, object]:
    """Functions that a class defines."""
    return {name: value for name, value in vars(owner).items() if inspect.isfunction(value)}


def tensor_hooks_of(tensor: Tensor) -> tuple[int, ...]:
    """How many hooks of each kind a tensor has."""
    kinds = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return tuple(len(getattr(tensor, kind, None) or {}) for kind in kinds)


def global_hooks() -> dict[str, frozenset[int]]:
    """Hooks that torch calls for every module."""
    return {name: frozenset(vars(module_globals)[name]) for name in GLOBAL_HOOKS}


def tensors_of(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers by dotted name."""
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):  # noqa: SLF001
            if tensor is not None:
                yield f"{prefix}{name}", tensor


def has_hooks(module: nn.Module, kinds: tuple[str, ...]) -> bool:
    """Whether a module has a hook of some kinds."""
    return any(getattr(module, kind, None) for kind in kinds)


def state_of(module: nn.Module) -> ModuleState:
    """A module as it is now."""
    public = {k: v for k, v in vars(module).items() if not k.startswith("_")}
    parameters = module._parameters  # noqa: SLF001
    return ModuleState(
        module=module,
        type=type(module),
        plain={k: v for k, v in public.items() if isinstance(v, _PLAIN) and k != "training"},
        callables={k: id(v) for k, v in vars(module).items() if callable(v)},
        children={k: id(v) for k, v in module._modules.items()},  # noqa: SLF001
        parameters={k: id(v) for k, v in parameters.items() if v is not None},
        hooks={kind: frozenset(getattr(module, kind, {})) for kind in HOOKS},
        flags={"training": module.training}
        | {
            f"requires_grad of {k}": v.requires_grad for k, v in parameters.items() if v is not None
        },
    )
