"""Every hook that a gradient arrives at: on tensors, and on modules in both of torch's ways.

Torch calls such hooks from within its engine, where no operation tells that a gradient is read. So
hooks are seen when they are put on a tensor, or when a module that has some runs; a reader of what
arrives there goes before them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only
from torch.utils.hooks import BackwardHook

Way = Literal["full", "node"]
"""How a module's hooks are called: for inputs and outputs, or for the last operation within."""
End = Literal["input", "output"]
Gradients = Sequence[Tensor | None]
Arrives = Callable[[Gradients, Gradients], None]
"""Told the gradients by what went in and by what came out."""


class HooksTold(Protocol):
    """Told of hooks; gives who is told what arrives there, None where nobody asks."""

    def tensor_hooked(self, t: Tensor, hook: object) -> Arrives | None:
        """A tensor has got a hook, or is to keep its gradient, for which the hook is None."""

    def module_hooked(self, module: nn.Module, way: Way, hooks: Sequence[object]) -> Arrives | None:
        """A module runs that has hooks."""


@contextmanager
def every_hook(told: HooksTold) -> Iterator[None]:
    """Tell of every hook that gradients arrive at, and of what does."""
    of_module, before_module = nn.Module._get_backward_hooks, nn.Module._get_backward_pre_hooks  # noqa: SLF001
    register, retain = Tensor.register_hook, Tensor.retain_grad

    def module_hooks(self: nn.Module) -> tuple[list[Any], list[Any]]:
        full, others = of_module(self)  # type: ignore[no-untyped-call]
        return _with_reader(told, self, "full", full), _with_reader(told, self, "node", others)

    def module_pre_hooks(self: nn.Module) -> list[Any]:
        found = before_module(self)  # type: ignore[no-untyped-call]
        arrives = told.module_hooked(self, "full", found)
        return found if arrives is None else [lambda _m, outputs: arrives((), outputs), *found]

    def registering(self: Tensor, hook: Any) -> Any:
        arrives = told.tensor_hooked(self, hook)
        return register(self, hook if arrives is None else _reading(hook, arrives))  # type: ignore[no-untyped-call]

    def retaining(self: Tensor) -> None:
        told.tensor_hooked(self, None)
        retain(self)

    with ExitStack() as stack:
        for owner, name, function in (
            (nn.Module, "_get_backward_hooks", module_hooks),
            (nn.Module, "_get_backward_pre_hooks", module_pre_hooks),
            (Tensor, "register_hook", functools.wraps(register)(registering)),
            (Tensor, "retain_grad", functools.wraps(retain)(retaining)),
        ):
            stack.callback(_put_back, owner, name, vars(owner).get(name))
            setattr(owner, name, function)
        yield


def _put_back(owner: type, name: str, before: object) -> None:
    if before is None:  # inherited, as from the base class of tensors
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def _with_reader(
    told: HooksTold, module: nn.Module, way: Way, hooks: list[Any]
) -> list[Callable[..., Any]]:
    arrives = told.module_hooked(module, way, hooks) if hooks else None
    if arrives is None:
        return hooks
    return [lambda _module, inputs, outputs: arrives(inputs, outputs), *hooks]


def _reading(hook: Any, arrives: Arrives) -> Callable[[Tensor], Any]:
    @functools.wraps(hook)
    def reading(gradient: Tensor) -> Any:
        arrives((), (gradient,))
        return hook(gradient)

    return reading


def read_at(module: nn.Module, way: Way, arrives: Arrives) -> Iterator[Any]:
    """Read the gradients at a module as hooks of a way do; gives what takes it off again."""
    if way == "node":

        def node(_module: nn.Module, _args: Any, out: Any) -> None:
            first = _first_tensor(out)
            if first is not None and first.grad_fn is not None:
                first.grad_fn.register_hook(arrives)

        yield module.register_forward_hook(node)
        return
    under_way: list[BackwardHook] = []

    def begins(_module: nn.Module, args: tuple[Any, ...]) -> Any:
        reader = BackwardHook(module, [lambda _m, inputs, outputs: arrives(inputs, outputs)], ())
        under_way.append(reader)
        return _copied(reader.setup_input_hook(args))

    def ends(_module: nn.Module, _args: Any, out: Any) -> Any:
        return _copied(under_way.pop().setup_output_hook(out))

    yield module.register_forward_pre_hook(begins)
    yield module.register_forward_hook(ends)


def _copied(values: Any) -> Any:
    """Values that what follows may write into, which it may not where a hook reads."""
    return tree_map_only(Tensor, torch.clone, values)


def _first_tensor(out: Any) -> Tensor | None:
    """What torch takes for the result of a module where it has a hook on its last operation."""
    while not isinstance(out, Tensor):
        if isinstance(out, dict):
            out = next((v for v in out.values() if isinstance(v, Tensor)), None)
        elif isinstance(out, (tuple, list)) and out:
            out = out[0]
        else:
            return None
    return out
