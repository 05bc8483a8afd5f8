"""Parameters that meet values: who uses them, and where values enter towers and blocks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from audit.trace.frames import Frames, Place
from audit.trace.hook_lines import HookLines
from audit.trace.lineage import Lineage
from audit.trace.lineages import Lineages
from audit.trace.model_changes import ModelChanges
from audit.trace.operations import RESHAPING
from audit.trace.passes import Passes
from audit.trace.pooled_places import PooledPlaces


class ParameterUses:
    """Sees every operation that a parameter takes part in.

    Args:
        passes: told of what enters towers and blocks.
        lineages: of every tensor, parameters among them.
        watch: checks the model's own parameters.
        frames: finds the explainer's line.
        hook_lines: that of a hook.
    """

    def __init__(
        self,
        passes: Passes,
        lineages: Lineages[Any],
        watch: ModelChanges,
        frames: Frames,
        hook_lines: HookLines,
    ) -> None:
        self.uses: dict[tuple[str, Place], int] = {}
        self.pooled = PooledPlaces(passes)
        self._passes = passes
        self._lineages = lineages
        self._watch = watch
        self._frames = frames
        self._hook_lines = hook_lines
        towers = list(passes.structure.towers)
        self._entries = {
            (path, operation): tower
            for tower in towers
            for path, operation in tower.entry_weights.items()
        }
        self._blocks = {
            (path, entrance.operation): (tower, entrance.block)
            for tower in towers
            for path, entrance in tower.entrances.items()
        }

    def before(self, name: str, tensors: list[Tensor]) -> None:
        """An operation is about to run on these."""
        for tensor in tensors:
            lineage = self._lineages.get(tensor)
            if len(lineage.params) == 1 and not lineage.anchors:
                (path,) = lineage.params
                self._used(name, path, tensor, tensors)

    def loaded(self, t: nn.Parameter, path: str) -> None:
        """A parameter was written to; the path is that of the model's that it now holds, if any."""
        if path and not self._lineages.get(t).params:
            self._lineages[t] = Lineage(params=frozenset({path}))

    def _used(self, name: str, path: str, tensor: Tensor, tensors: list[Tensor]) -> None:
        place, own = self._frames.caller()
        if isinstance(tensor, nn.Parameter):
            self._watch.used(path, tensor, own=own)
            if own and name not in RESHAPING:
                self.uses[(path, place)] = self.uses.get((path, place), 0) + 1
        entered = next((t for t in tensors if not self._is_parameter(t)), None)
        if entered is None:
            return
        place = self._hook_lines.behind(place, own=own)
        if (path, name) in self._entries:
            self._passes.enter_tower(self._entries[path, name], entered, tensor, place)
        if (path, name) in self._blocks:
            tower, index = self._blocks[path, name]
            self._passes.enter_block(tower, index, entered, tensor, place)
        if name not in RESHAPING:
            self.pooled.meets(path, entered, place)

    def _is_parameter(self, t: Tensor) -> bool:
        lineage = self._lineages.get(t)
        return bool(lineage.params) and not lineage.anchors
