"""Is the model still what it was? Weights, structure and flags, during an explanation and after."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as module_globals

from audit.models.pristine import same_values
from audit.models.unwrapped_values import plain

When = Literal["during", "after"]
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
)
_GLOBAL_HOOKS = tuple(
    name
    for name, value in vars(module_globals).items()
    if name.startswith("_global_") and name.endswith("_hooks") and isinstance(value, dict)
)
_PLAIN = (int, float, bool, str, tuple, type(None))
_FUNCTIONS = (
    *((functional, name) for name, f in vars(functional).items() if inspect.isroutine(f)),
    (torch, "softmax"),
    (torch, "matmul"),
    (torch, "bmm"),
    (torch.Tensor, "softmax"),
    (torch.Tensor, "matmul"),
    (nn.Module, "__call__"),
    (nn.Module, "_call_impl"),
)


@dataclass(frozen=True)
class Change:
    """Something of the model that is not as it was.

    Attributes:
        kind: ``weights`` for P101, ``structure`` for P102.
        path: dotted name of the parameter, buffer or module.
        what: what differs, in words.
        when: first seen during the explanation, or after it.
        altering: False for what cannot change what the model computes, such as a flag.
        attribute: name of the plain attribute that differs, if it is one.
    """

    kind: Literal["weights", "structure"]
    path: str
    what: str
    when: When
    altering: bool = True
    attribute: str = ""


@dataclass(frozen=True)
class _ModuleState:
    module: nn.Module
    type: type
    plain: dict[str, object]
    callables: dict[str, int]
    children: dict[str, int]
    parameters: dict[str, int]
    hooks: dict[str, frozenset[int]]
    flags: dict[str, bool]


class Integrity:
    """A snapshot of a model, and what differs from it later.

    Args:
        model: the model that an explainer is about to receive.
        pristine: a deep copy of it that nobody else touches.
    """

    def __init__(self, model: nn.Module, pristine: nn.Module) -> None:
        self.model = model
        self.tensors = dict(_tensors(model))
        self.originals = dict(_tensors(pristine))
        self.modules = {path: _state(module) for path, module in model.named_modules()}
        self.versions = {path: tensor._version for path, tensor in self.tensors.items()}  # noqa: SLF001
        self.functions = [(owner, name, getattr(owner, name)) for owner, name in _FUNCTIONS]
        self.tensor_hooks = {path: _tensor_hooks(t) for path, t in self.tensors.items()}
        self.global_hooks = _global_hooks()
        self.methods = {owner: _methods(owner) for owner in _owners(self.modules.values())}

    def weights_of(self, path: str, when: When) -> Iterator[Change]:
        """Tensors of one module (not of its children) that differ in content."""
        prefix = f"{path}." if path else ""
        module = self.modules[path].module
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):  # noqa: SLF001
            if tensor is not None and f"{prefix}{name}" in self.originals:
                yield from self.tensor_changes(f"{prefix}{name}", tensor, when)

    def tensor_changes(self, path: str, tensor: Tensor, when: When) -> Iterator[Change]:
        """What differs in one parameter or buffer, given the tensor that now stands for it."""
        original = self.originals[path]
        if not same_values(tensor, original):
            yield Change("weights", path, f"{_difference(tensor, original)}", when)
        elif tensor is self.tensors.get(path) and tensor._version != self.versions[path]:  # noqa: SLF001
            yield Change("weights", path, "written in place and put back", when)

    def structure_of(self, path: str, when: When) -> Iterator[Change]:
        """What differs in the structure of one module (not of its children)."""
        before, module = self.modules[path], self.modules[path].module
        now = _state(module)
        if now.type is not before.type:
            what = f"class {before.type.__name__} → {now.type.__name__}"
            yield Change("structure", path, what, when)
        for name in self._methods_replaced(before.type):
            what = f"{name} of class {before.type.__name__} replaced"
            yield Change("structure", path, what, when)
        for name, value in before.plain.items():
            if name not in now.plain or now.plain[name] != value:
                what = f"{name} {value!r} → {now.plain.get(name, 'removed')!r}"
                yield Change("structure", path, what, when, attribute=name)
        for name, identity in now.callables.items():
            if before.callables.get(name) != identity:
                yield Change("structure", path, f"method {name} replaced", when)
        yield from self._parts(path, before, now, when)
        for flag, was_set in before.flags.items():
            if now.flags.get(flag, was_set) != was_set:
                altering = flag == "training"
                what = f"{flag} {was_set} → {not was_set}"
                yield Change("structure", path, what, when, altering=altering)

    def _methods_replaced(self, kind: type) -> Iterator[str]:
        for owner, methods in self.methods.items():
            if issubclass(kind, owner):
                now = vars(owner)
                yield from (n for n, method in methods.items() if now.get(n) is not method)

    def _parts(
        self, path: str, before: _ModuleState, now: _ModuleState, when: When
    ) -> Iterator[Change]:
        """Children and parameters that are others than before.

        While the explainer runs, other tensors of the same values compute the same: functional
        calls lend them. Afterwards they must be back.
        """
        for what, was, here in (
            ("child", before.children, now.children),
            ("parameter", before.parameters, now.parameters),
        ):
            for name in sorted(was.keys() | here.keys()):
                lent = what == "parameter" and name in was and name in here and when == "during"
                if was.get(name) != here.get(name) and not lent:
                    how = "added" if name not in was else "removed or replaced"
                    yield Change("structure", path, f"{what} {name} {how}", when)

    def hooks_left(self) -> Iterator[Change]:
        """Hooks that were registered and not removed."""
        for path, before in self.modules.items():
            now = _state(before.module)
            for kind in _HOOKS:
                if now.hooks[kind] - before.hooks[kind]:
                    what = f"{kind.strip('_').replace('_', ' ')} left behind"
                    yield Change("structure", path, what, "after")
                if before.hooks[kind] - now.hooks[kind]:
                    what = f"{kind.strip('_').replace('_', ' ')} removed"
                    yield Change("structure", path, what, "after")
        if _global_hooks() != self.global_hooks:
            yield Change("structure", "", "global hooks of modules added or removed", "after")
        for path, tensor in self.tensors.items():
            if _tensor_hooks(tensor) != self.tensor_hooks[path]:
                yield Change("structure", path, "hooks of the tensor added or removed", "after")

    def library(self, when: When) -> Iterator[Change]:
        """Library functions that were replaced for everybody."""
        for owner, name, function in self.functions:
            if getattr(owner, name) is not function:
                yield Change("structure", f"{_name(owner)}.{name}", "function replaced", when)

    def verify(self) -> list[Change]:
        """Everything that differs after an explanation."""
        changes: list[Change] = []
        current = dict(self.model.named_modules())
        for path in self.modules:
            if current.get(path) is self.modules[path].module:
                changes += self.weights_of(path, "after")
            changes += self.structure_of(path, "after")
        changes += [*self.hooks_left(), *self.library("after")]
        return changes

    def restore_library(self) -> None:
        """Put replaced library functions and class methods back, take global hooks away."""
        for name, before in self.global_hooks.items():
            hooks = vars(module_globals)[name]
            for number in [n for n in hooks if n not in before]:
                del hooks[number]
        for owner, name, function in self.functions:
            if getattr(owner, name) is not function:
                setattr(owner, name, function)
        for kind, methods in self.methods.items():
            for name, method in methods.items():
                if vars(kind).get(name) is not method:
                    setattr(kind, name, method)


def _name(owner: object) -> str:
    return str(getattr(owner, "__name__", owner))


def _owners(states: Iterable[_ModuleState]) -> set[type]:
    """The classes of modules and those that they derive from, without the common base."""
    every = {owner for state in states for owner in state.type.__mro__}
    return every - {nn.Module, object}


def _methods(owner: type) -> dict[str, object]:
    return {name: value for name, value in vars(owner).items() if inspect.isfunction(value)}


def _tensor_hooks(tensor: Tensor) -> tuple[int, ...]:
    kinds = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return tuple(len(getattr(tensor, kind, None) or {}) for kind in kinds)


def _global_hooks() -> dict[str, frozenset[int]]:
    """Hooks that torch calls for every module."""
    return {name: frozenset(vars(module_globals)[name]) for name in _GLOBAL_HOOKS}


def _difference(tensor: Tensor, original: Tensor) -> str:
    if tensor.shape != original.shape or tensor.dtype != original.dtype:
        return f"{tuple(original.shape)} {original.dtype} → {tuple(tensor.shape)} {tensor.dtype}"
    largest = float((plain(tensor).double() - original.double()).abs().max())
    return f"values changed by up to {largest:.3g}"


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):  # noqa: SLF001
            if tensor is not None:
                yield f"{prefix}{name}", tensor


def _state(module: nn.Module) -> _ModuleState:
    public = {k: v for k, v in vars(module).items() if not k.startswith("_")}
    parameters = module._parameters  # noqa: SLF001
    return _ModuleState(
        module=module,
        type=type(module),
        plain={k: v for k, v in public.items() if isinstance(v, _PLAIN) and k != "training"},
        callables={k: id(v) for k, v in vars(module).items() if callable(v)},
        children={k: id(v) for k, v in module._modules.items()},  # noqa: SLF001
        parameters={k: id(v) for k, v in parameters.items() if v is not None},
        hooks={kind: frozenset(getattr(module, kind, {})) for kind in _HOOKS},
        flags={"training": module.training}
        | {
            f"requires_grad of {k}": v.requires_grad for k, v in parameters.items() if v is not None
        },
    )
