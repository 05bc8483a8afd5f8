"""Every derivative that is taken while an explainer runs: of what, and contracted with what.

Below autograd a derivative is many operations; what they are the derivative of is known only where
the engine of autograd is called, and where tangents of forward mode enter and are read. All ways
there (`backward`, `grad`, `jvp`, `torch.func`) go through three functions of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad, graph

from audit.trace.backward_hooks import Arrives, Way, every_hook


class Differentiating:
    """Told of each derivative, and looks at nothing."""

    def only_derives(self, name: str) -> bool:
        """Whether an operation on a tensor is a part of a gradient, and only its results matter."""
        del name
        return False

    def derived(self, name: str, out: Any) -> None:
        """Such an operation has run; what this does calls no operation."""

    def before_gradient(self, roots: Sequence[Tensor], directions: Sequence[Tensor | None]) -> Any:
        """The roots are about to be differentiated; the result is handed to `after_gradient`."""

    def after_gradient(
        self, note: Any, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]
    ) -> None:
        """These gradients came out, none where they were added to the ``grad`` of leaves."""

    def tensor_hooked(self, t: Tensor, hook: object) -> Arrives | None:
        """A tensor has got a hook, or is to keep its gradient; see `HooksTold`."""

    def module_hooked(self, module: nn.Module, way: Way, hooks: Sequence[object]) -> Arrives | None:
        """A module runs that has hooks for gradients; likewise."""

    def tangent_enters(self, tangent: Tensor) -> None:
        """A direction of forward mode."""

    def tangent_read(self, primal: Tensor, tangent: Tensor) -> None:
        """The derivative of a value along such a direction."""


@contextmanager
def every_derivative(told: Differentiating) -> Iterator[None]:
    """Tell of every derivative, from any thread."""
    with _backward_mode(told), _forward_mode(told), every_hook(told):
        yield


@contextmanager
def _backward_mode(told: Differentiating) -> Iterator[None]:
    engine = graph._engine_run_backward  # noqa: SLF001 - the one way to the engine

    def watched(t_outputs: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        roots = [getattr(t, "node", None) or t for t in t_outputs]
        tensors = [t for t in roots if isinstance(t, Tensor)]
        given = args[0] if args else ()
        note = told.before_gradient(tensors, _directions(given))
        gradients: Any = ()
        try:
            gradients = engine(t_outputs, *args, **kwargs)
        finally:
            found = list(gradients or ())
            inputs = list(args[_INPUTS]) if len(args) > _INPUTS and args[_INPUTS] else []
            told.after_gradient(note, inputs if len(inputs) == len(found) else [], found)
        return gradients

    with _replaced((graph, torch.autograd), "_engine_run_backward", watched):
        yield


_INPUTS = 3  # place of the inputs among the engine's arguments after the roots


@contextmanager
def _forward_mode(told: Differentiating) -> Iterator[None]:
    make, unpack = forward_ad.make_dual, forward_ad.unpack_dual

    def making(tensor: Tensor, tangent: Tensor, **kwargs: Any) -> Any:
        told.tangent_enters(tangent)
        return make(tensor, tangent, **kwargs)  # type: ignore[no-untyped-call]

    def unpacking(tensor: Tensor, **kwargs: Any) -> Any:
        found = unpack(tensor, **kwargs)  # type: ignore[no-untyped-call]
        if found.tangent is not None:
            told.tangent_read(found.primal, found.tangent)
        return found

    with (
        _replaced((forward_ad,), "make_dual", making),
        _replaced((forward_ad,), "unpack_dual", unpacking),
    ):
        yield


def _directions(given: Any) -> list[Tensor | None]:
    """What each root is contracted with; None where it is a plain sum."""
    found: list[Tensor | None] = [one if isinstance(one, Tensor) else None for one in given or ()]
    return found


@contextmanager
def _replaced(holders: Sequence[Any], name: str, by: Callable[..., Any]) -> Iterator[None]:
    before = getattr(holders[0], name)
    for holder in holders:
        setattr(holder, name, by)
    try:
        yield
    finally:
        for holder in holders:
            setattr(holder, name, before)
