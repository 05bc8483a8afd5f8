"""States of a part of the model whose inside is not known: the results of its operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from audit.trace.operations import RESHAPING, operation, results_of

Told = Callable[[str, Tensor], None]
"""Told the site and the values of each state, which may be written to afterwards."""


class _Results(TorchDispatchMode):
    """Tells of every result but a parameter in another form, such as a transposed weight."""

    def __init__(self, told: Told) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.within: list[str] = []
        self._told = told

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        now = operation(func, args, kwargs or {})
        out = func(*args, **(kwargs or {}))
        of_input = not all(isinstance(t, nn.Parameter) for t in now.tensors)
        if of_input and now.name not in RESHAPING:
            where = self.within[-1] if self.within else ""
            for t in results_of(now.name, out):
                if t.numel() > 1:
                    self._told(f"{where} {now.name.strip('_')}".strip(), t)
        return out


def tell_states(module: nn.Module, work: Callable[[], Tensor], told: Told) -> Tensor:
    """Do some work, and tell of every result on the way.

    Args:
        module: whose parts give the states their names.
        work: what runs it or a part of it.
        told: of each result, with the module that computes it, and the operation.
    """

    def at_once(begins: Callable[[], None]) -> Tensor:
        begins()
        return work()

    return tell_states_from(module, at_once, told)


def tell_states_from(
    module: nn.Module, work: Callable[[Callable[[], None]], Tensor], told: Told
) -> Tensor:
    """The same for work that says when it begins: what it computes before is not told of."""
    begun: list[bool] = []
    results = _Results(lambda site, t: told(site, t) if begun else None)
    with _named(module, results.within), results:
        return work(lambda: begun.append(True))


@contextmanager
def _named(module: nn.Module, within: list[str]) -> Iterator[None]:
    """Keep the names of the modules that run."""
    handles = []

    def entering(path: str) -> Callable[[nn.Module, Any], None]:
        return lambda _module, _args: within.append(path)

    def leaving(_module: nn.Module, _args: Any, _out: Any) -> None:
        within.pop()

    for path, part in module.named_modules():
        handles.append(part.register_forward_pre_hook(entering(path)))
        handles.append(part.register_forward_hook(leaving, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
