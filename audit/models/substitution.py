"""Passes of a model in which modules give what they are told, or end where one is reached."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class _ReachedError(Exception):
    """What enters a module is known: the pass may end."""


def what_enters(module: nn.Module, work: Callable[[], object]) -> Tensor:
    """What enters a module in the course of some work, which is left then."""
    found: list[Tensor] = []

    def stop(_: nn.Module, args: tuple[Any, ...]) -> None:
        found.append(args[0])
        raise _ReachedError

    handle = module.register_forward_pre_hook(stop)
    try:
        work()
    except _ReachedError:
        return found[0]
    finally:
        handle.remove()
    raise RuntimeError(f"expected a pass through {type(module).__name__}, it was not run")


@contextmanager
def gives(
    module: nn.Module, x: Tensor, rows: int, like: Tensor, told: Callable[[], None], form: object
) -> Iterator[None]:
    """A module gives a tensor in its usual form, as often as there are rows, whatever goes in."""
    usual = module.forward
    as_it_was = "forward" in vars(module)

    def forward(*_: object, **__: object) -> object:
        value = x if len(x) == rows else x.expand(rows, *x.shape[1:])
        value = value.to(like).clone()  # what follows may write into it
        told()
        return with_tensor(form, value)

    module.forward = forward
    try:
        yield
    finally:
        if as_it_was:
            module.forward = usual
        else:
            del module.forward


def with_tensor(form: Any, t: Tensor) -> Any:
    """What a module gave, with another tensor in the place of its only one."""
    if isinstance(form, Tensor):
        return t
    if isinstance(form, tuple) and hasattr(form, "_fields"):
        return type(form)(*(with_tensor(item, t) for item in form))
    if isinstance(form, (tuple, list)):
        return type(form)(with_tensor(item, t) for item in form)
    if isinstance(form, dict):
        new = copy.copy(form)
        for key, item in form.items():
            new[key] = with_tensor(item, t)
        return new
    return form
