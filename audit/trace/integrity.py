"""Is the model still what it was? Weights, structure and flags, during an explanation and after."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules import module as module_globals

from audit.explainers.contract import Explain
from audit.explainers.process_state import kept_settings, told_of_settings
from audit.models.pristine import same_values
from audit.models.unwrapped_values import plain
from audit.trace.module_snapshot import (
    HOOKS,
    ModuleState,
    global_hooks,
    methods_of,
    owners_of,
    state_of,
    tensor_hooks_of,
    tensors_of,
)

When = Literal["during", "after"]
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
        method: whether it is a method of this module alone that was replaced.
    """

    kind: Literal["weights", "structure"]
    path: str
    what: str
    when: When
    altering: bool = True
    attribute: str = ""
    method: bool = False


class Integrity:
    """A snapshot of a model, and what differs from it later.

    Args:
        model: the model that an explainer is about to receive.
        pristine: a deep copy of it that nobody else touches.
    """

    def __init__(self, model: nn.Module, pristine: nn.Module) -> None:
        self.model = model
        self.tensors = dict(tensors_of(model))
        self.originals = dict(tensors_of(pristine))
        self.modules = {path: state_of(module) for path, module in model.named_modules()}
        self.versions = {path: tensor._version for path, tensor in self.tensors.items()}  # noqa: SLF001
        self.functions = [(owner, name, getattr(owner, name)) for owner, name in _FUNCTIONS]
        self.tensor_hooks = {path: tensor_hooks_of(t) for path, t in self.tensors.items()}
        self.gradients = {p for p, t in self.tensors.items() if t.is_leaf and t.grad is not None}
        self.global_hooks = global_hooks()
        self.own_hooks: set[int] = set()
        self.methods = {owner: methods_of(owner) for owner in owners_of(self.modules.values())}

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
        now = state_of(module)
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
                yield Change("structure", path, f"method {name} replaced", when, method=True)
        yield from self._parts(path, before, now, when)
        for flag, was_set in before.flags.items():
            if now.flags.get(flag, was_set) != was_set:
                altering = flag == "training"
                what = f"{flag} {was_set} → {not was_set}"
                if altering and next(module.children(), None) is None:
                    what = f"{what} of {before.type.__name__}"
                yield Change("structure", path, what, when, altering=altering)

    def is_patched(self) -> bool:
        """Whether a library function, a method of a class or a global hook is another."""
        return (
            next(self.library("during"), None) is not None
            or self._global_hooks_now() != self.global_hooks
            or any(
                vars(owner).get(name) is not method
                for owner, methods in self.methods.items()
                for name, method in methods.items()
            )
        )

    def _global_hooks_now(self) -> dict[str, frozenset[int]]:
        """Hooks of all modules, without the audit's own."""
        return {name: here - self.own_hooks for name, here in global_hooks().items()}

    def _methods_replaced(self, kind: type) -> Iterator[str]:
        for owner, methods in self.methods.items():
            if issubclass(kind, owner):
                now = vars(owner)
                yield from (n for n, method in methods.items() if now.get(n) is not method)

    def _parts(
        self, path: str, before: ModuleState, now: ModuleState, when: When
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
            now = state_of(before.module)
            for kind in HOOKS:
                if now.hooks[kind] - before.hooks[kind]:
                    what = f"{kind.strip('_').replace('_', ' ')} left behind"
                    yield Change("structure", path, what, "after")
                if before.hooks[kind] - now.hooks[kind]:
                    what = f"{kind.strip('_').replace('_', ' ')} removed"
                    yield Change("structure", path, what, "after")
        if self._global_hooks_now() != self.global_hooks:
            yield Change("structure", "", "global hooks of modules added or removed", "after")
        for path, tensor in self.tensors.items():
            if tensor_hooks_of(tensor) != self.tensor_hooks[path]:
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
        changes += [*self.hooks_left(), *self.library("after"), *self._gradients_left()]
        return changes

    def _gradients_left(self) -> Iterator[Change]:
        """Gradients on parameters, which libraries leave: nobody else computes with them."""
        held = {path for path, t in self.tensors.items() if t.is_leaf and t.grad is not None}
        if left := len(held - self.gradients):
            what = f"gradients left on {left} parameters, and cleared"
            yield Change("structure", "", what, "during", altering=False)
        for path in held - self.gradients:
            self.tensors[path].grad = None

    def inspecting(
        self, explain: Explain, unseen: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> tuple[Explain, list[Change]]:
        """An explainer that is inspected as soon as it has returned or raised.

        Args:
            explain: the explainer.
            unseen: a context in which what the inspection computes is not recorded.

        Returns:
            The explainer, and the list that its changes are written to.
        """
        found: list[Change] = []

        def inspected(*args: Any) -> Any:
            def left(what: str) -> None:
                found.append(Change("structure", "", f"{what}, left behind", "after"))

            try:
                with told_of_settings(left), kept_settings():
                    return explain(*args)
            finally:
                with unseen():
                    found.extend(self.verify())

        return inspected, found

    @contextmanager
    def as_before(self) -> Iterator[None]:
        """Compute with the library and the classes as they were, whatever replaced them now."""
        now = [
            (owner, name, function, getattr(owner, name))
            for owner, name, function in self._replaceable()
            if getattr(owner, name) is not function
        ]
        for owner, name, function, _ in now:
            setattr(owner, name, function)
        try:
            yield
        finally:
            for owner, name, _, replaced in now:
                setattr(owner, name, replaced)

    def _replaceable(self) -> Iterator[tuple[Any, str, object]]:
        yield from self.functions
        for owner, methods in self.methods.items():
            yield from ((owner, name, method) for name, method in methods.items())

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


def _difference(tensor: Tensor, original: Tensor) -> str:
    if tensor.shape != original.shape or tensor.dtype != original.dtype:
        return f"{tuple(original.shape)} {original.dtype} → {tuple(tensor.shape)} {tensor.dtype}"
    largest = float((plain(tensor).double() - original.double()).abs().max())
    return f"values changed by up to {largest:.3g}"
