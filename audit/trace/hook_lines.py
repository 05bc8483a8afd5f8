"""Which hook changed a value: what enters the next part of the model is then not what one gave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from audit.models.value_flow import tensors_among
from audit.trace.frames import UNKNOWN, Frames, Place, line_of
from audit.trace.lineage import Lineage


@dataclass
class _Passing:
    """A value of the model that goes through hooks.

    Attributes:
        hooks: those of the explainer.
        value: as it was before.
        version: how often it had been written to.
        settled: whether the model went on since.
    """

    hooks: tuple[Any, ...]
    value: Tensor
    version: int
    settled: bool = False

    def is_among(self, values: Any) -> bool:
        """Whether the value is one of these, and as it was."""
        return any(
            t is self.value and t._version == self.version  # noqa: SLF001
            for t in tensors_among(values)
        )


class _Thread(threading.local):
    """The hooks that a thread's values went through last, unless they were left as they are."""

    last: _Passing | None = None


class HookLines:
    """Follows values through the hooks of modules.

    Args:
        frames: tells the explainer's own code.
        lineage_of: of a tensor.
    """

    def __init__(self, frames: Frames, lineage_of: Callable[[Tensor], Lineage]) -> None:
        self._frames = frames
        self._lineage_of = lineage_of
        self._thread = _Thread()

    def begins(self, module: nn.Module, args: tuple[Any, ...], *, whole: bool) -> None:
        """A module of the model runs, whose hooks are about to see its arguments."""
        last = self._thread.last
        if whole or (last is not None and not last.settled and last.is_among(args)):
            self._thread.last = None
        self._passes(args, tuple(module._forward_pre_hooks.values()), whole=whole)  # noqa: SLF001

    def ends(self, module: nn.Module, out: Any) -> None:
        """It has run, and its hooks are about to see what it gives."""
        self._passes(out, tuple(module._forward_hooks.values()), whole=False)  # noqa: SLF001

    def _passes(self, values: Any, hooks: tuple[Any, ...], *, whole: bool) -> None:
        value = next(tensors_among(values), None)
        if not hooks or value is None:
            return
        lineage = self._lineage_of(value)
        if whole or (lineage.anchors and not lineage.deviates):
            self._thread.last = _Passing(hooks, value, value._version)  # noqa: SLF001

    def next(self, tensors: list[Tensor]) -> None:
        """An operation is about to run: the first of the model's own tells what hooks left."""
        last = self._thread.last
        if last is None or last.settled:
            return
        place, own = self._frames.caller()
        del place
        if own:  # of a hook itself
            return
        last.settled = True
        if last.is_among(tensors):
            self._thread.last = None

    def behind(self, place: Place, *, own: bool) -> Place:
        """The line of the hook that changed what enters a part of the model.

        Args:
            place: the explainer's line that runs.
            own: whether it calls that part itself.
        """
        last = self._thread.last
        if own or last is None:
            return place
        lines = [line_of(hook) for hook in last.hooks]
        return next((line for line in lines if line != UNKNOWN), place)
