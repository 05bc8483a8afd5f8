"""What lies on the way of a gradient that may change it: custom functions, and hooks."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from audit.trace.frames import shown_path
from audit.trace.module_snapshot import BACKWARD_HOOKS, has_hooks

_MOST_NODES = 4000


def custom_functions(root: Tensor) -> Iterable[str]:
    """Custom functions in the graph of a tensor, with their lines."""
    waiting, known = [root.grad_fn], set[Any]()
    found: dict[str, None] = {}
    while waiting and len(known) < _MOST_NODES:
        node = waiting.pop()
        if node is None or node in known:
            continue
        known.add(node)
        function = getattr(node, "_forward_cls", None)
        if function is not None and not function.__module__.startswith("torch."):
            place = _line_of(function.backward)
            found[f"custom function {function.__qualname__} ({place})"] = None
        waiting += [after for after, _ in node.next_functions]
    return list(found)


def _line_of(function: Any) -> str:
    try:
        _, line = inspect.getsourcelines(function)
        return f"{shown_path(inspect.getsourcefile(function) or '')}:{line}"
    except (OSError, TypeError):
        return "source unknown"


def hooked_modules(models: Iterable[nn.Module]) -> list[str]:
    """Modules of the model, or of copies of it, with a hook that may change gradients."""
    found = {
        path or "the model"
        for model in models
        for path, module in model.named_modules()
        if has_hooks(module, BACKWARD_HOOKS)
    }
    return sorted(found)
