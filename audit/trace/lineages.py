"""The lineage of every tensor that was seen, for as long as the tensor lives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from audit.trace.lineage import EMPTY, Lineage

Where = TypeVar("Where")


class Lineages(Generic[Where]):
    """Lineages by tensor.

    Args:
        resolve: tells the lineage of a tensor, given where it was computed, when somebody asks.
    """

    def __init__(self, resolve: Callable[[Tensor, Where], Lineage]) -> None:
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._unresolved: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._resolve = resolve

    def inside(self, t: Tensor, where: Where) -> None:
        """A tensor that the model computed itself; its lineage is found when somebody asks."""
        self._unresolved[t] = where

    def get(self, t: Tensor) -> Lineage:
        """The lineage of a tensor, the empty one where nothing of the model is upstream."""
        found: Lineage | None = self._known.get(t)
        if found is not None:
            return found
        where: Where | None = self._unresolved.pop(t, None)
        if where is None:
            return EMPTY
        self._known[t] = found = self._resolve(t, where)
        return found

    def items(self) -> Iterator[tuple[Tensor, Lineage]]:
        """Tensors that are alive, and their lineages."""
        yield from self._known.items()

    def __setitem__(self, t: Tensor, lineage: Lineage) -> None:
        self._known[t] = lineage

    def __contains__(self, t: Tensor) -> bool:
        return t in self._known or t in self._unresolved
