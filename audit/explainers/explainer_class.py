"""A class in the place of a function: built once for each model, then called with the pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

_KEPT = 4
"""Instances that are kept: each may hold its model, and an audit explains many altered copies."""


class ExplainerClass:
    """Calls an instance that it builds the first time it meets a model.

    Building happens within the call, so that whoever watches the call sees both. An altered copy of
    a model is another model. Beyond the last few models, one that comes again is built for again.

    Args:
        kind: the class; ``kind(model, **options)(images, targets)`` gives maps.
    """

    def __init__(self, kind: Callable[..., Any]) -> None:
        self.kind = kind
        self._built: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()

    def __call__(self, model: nn.Module, images: Tensor, targets: Tensor, /, **options: Any) -> Any:
        """Maps of the pairs."""
        if model not in self._built:
            self._built[model] = self.kind(model, **options)
        instance = self._built[model] = self._built.pop(model)  # the latest comes last
        while len(self._built) > _KEPT:
            del self._built[next(iter(self._built))]
        return instance(images, targets)


def is_explainer_class(found: object) -> bool:
    """Whether something is a class whose instances can be called."""
    return isinstance(found, type) and any("__call__" in vars(base) for base in found.__mro__)
