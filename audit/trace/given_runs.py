"""Runs of the pair's own picture and text: their features are known, the rest when it is asked."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from audit.models.transformer_block import Block, TowerName
from audit.trace.lineage import Lineage
from audit.trace.observations import Run
from audit.trace.precision import Precision
from audit.trace.run_states import RunStates, in_dtype
from audit.trace.runs import Runs


class GivenRuns:
    """One run for each tower and precision.

    Args:
        given: the pair's picture and, where there is a text tower, its token ids.
        runs: of the trace.
        states: where states are registered.
    """

    def __init__(self, given: dict[TowerName, Tensor], runs: Runs, states: RunStates) -> None:
        self._given = given
        self._runs = runs
        self._states = states
        self._features_only: list[Run] = []
        self._known: dict[tuple[TowerName, Precision], Run] = {}

    def run(self, name: TowerName, precision: Precision) -> Run:
        """The run of a tower."""
        known = self._known.get((name, precision))
        if known is None:
            tower = precision.structure.tower(name)
            with precision.entered():
                known = self._runs.opened(tower, self._given[name], Lineage(), precision)
                known.given, known.inputs = True, self._given[name]
                inputs = in_dtype(self._given[name], precision)
                x = tower.run(tower.embed(inputs), 0, len(tower.blocks), inputs)
                self._states.final(tower, x, known)
            self._features_only.append(known)
            self._known[name, precision] = known
        return known

    def classes(self, precision: Precision) -> Run:
        """What stands for the texts of a model whose targets are class ids: all classes."""
        features = self.run("image", precision).features
        count = 0 if features is None else features.shape[-1]
        classes = torch.arange(count, device=self._given["image"].device)
        return self._runs.new("text", Lineage(), classes, frozenset(), precision)

    def complete(self, towers: Collection[TowerName]) -> None:
        """Register every state within some towers."""
        for run in [run for run in self._features_only if run.tower in towers]:
            self._features_only.remove(run)
            with run.precision.entered():
                self._all_states(run)

    def _all_states(self, run: Run) -> None:
        tower = run.precision.structure.tower(run.tower)
        x = self._states.embedded(tower, run, self._given[run.tower])
        for block in tower.blocks:
            output = self._states.block(tower, block.index, x, run)
            if isinstance(block, Block):  # by its parts: the model goes on from its own
                output = block.run(x, tower.mask(x.shape[1]))
            passed = self._states.passed_on(tower, output, block.index, run)
            x = output if passed is None else passed
