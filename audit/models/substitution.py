"""Passes of a model in which modules give what they are told, or end where one is reached."""

from __future__ import annotations

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
    module: nn.Module, x: Tensor, rows: int, like: Tensor, told: Callable[[], None]
) -> Iterator[None]:
    """A module gives a tensor, as often as there are rows, whatever goes in."""
    usual = module.forward
    as_it_was = "forward" in vars(module)

    def forward(*_: object, **__: object) -> Tensor:
        value = x if len(x) == rows else x.expand(rows, *x.shape[1:])
        value = value.to(like).clone()  # what follows may write into it
        told()
        return value

    module.forward = forward
    try:
        yield
    finally:
        if as_it_was:
            module.forward = usual
        else:
            del module.forward
