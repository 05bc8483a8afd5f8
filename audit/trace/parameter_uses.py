"""Parameters that meet values: who uses them, and where values enter towers and blocks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from audit.trace.entry_weights import entrance_paths, norm_paths
from audit.trace.frames import Frames, Place
from audit.trace.lineage import Lineage
from audit.trace.lineages import Lineages
from audit.trace.model_changes import ModelChanges
from audit.trace.operations import RESHAPING
from audit.trace.passes import Passes


class ParameterUses:
    """Sees every operation that a parameter takes part in.

    Args:
        passes: told of what enters towers and blocks.
        lineages: of every tensor, parameters among them.
        watch: checks the model's own parameters.
        frames: finds the explainer's line.
    """

    def __init__(
        self,
        passes: Passes,
        lineages: Lineages[Any],
        watch: ModelChanges,
        frames: Frames,
    ) -> None:
        self.uses: dict[tuple[str, Place], int] = {}
        self._passes = passes
        self._lineages = lineages
        self._watch = watch
        self._frames = frames
        self._norms = norm_paths(passes.anatomy)
        self._entrances = entrance_paths(passes.anatomy)

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
        others = [t for t in tensors if t is not tensor]
        if name == "native_layer_norm" and path in self._norms and tensors[0] is not tensor:
            tower, index = self._norms[path]
            self._passes.enter_block(tower, index, tensors[0], tensor, place)
        elif name in {"convolution", "embedding"} and path in self._entrances and others:
            self._passes.enter_tower(self._entrances[path], others[0], tensor, place)
