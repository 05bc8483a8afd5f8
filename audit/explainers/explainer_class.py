"""A class in the place of a function: built once for each model, then called with the pairs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from audit.explainers.errors import ExplainerImportError

KEPT = 4
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
        while len(self._built) > KEPT:
            del self._built[next(iter(self._built))]
        return instance(images, targets)


def expect_explainer_class(found: type, name: str) -> None:
    """A class can be built with a model and called with the pairs.

    Raises:
        ExplainerImportError: it cannot; the message says what it takes.
    """
    called: Any = next((vars(b)["__call__"] for b in found.__mro__ if "__call__" in vars(b)), None)
    if called is None:
        wrong = "it has no __call__"
    elif not _takes(found, "bind_partial", 1):
        wrong = f"its constructor takes {inspect.signature(found)}"
    elif not _takes(called, "bind", 3):
        wrong = f"its __call__ takes {inspect.signature(called)}"
    else:
        return
    raise ExplainerImportError(
        f"explainer '{name}': expected a class that is built with (model, **options) and called "
        f"with (images, targets) -> maps, got '{found.__name__}': {wrong}; change that, or give a "
        "function (model, images, targets) -> maps"
    )


def expect_explainer_function(found: Callable[..., Any], name: str) -> None:
    """A function can be called with a model, pictures and targets, as far as is known.

    What a decorator wraps may take others than the decorator does, and a signature that is declared
    may state the options alone.

    Raises:
        ExplainerImportError: it cannot; the message says what it takes.
    """
    declared = hasattr(found, "__signature__") or hasattr(found, "__wrapped__")
    if not declared and not _takes(found, "bind_partial", 3):
        called = getattr(found, "__name__", type(found).__name__)
        raise ExplainerImportError(
            f"explainer '{name}': expected a function (model, images, targets) -> maps, got one "
            f"that takes other arguments: {called}{inspect.signature(found)}"
        )


def _takes(call: Callable[..., Any], how: Literal["bind", "bind_partial"], count: int) -> bool:
    """Whether something can be called with so many arguments by position, as far as is known."""
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):  # written in C
        return True
    try:
        getattr(signature, how)(*range(count))
    except TypeError:
        return False
    return True
