"""Runs of the pair's own picture and text: their features are known, the rest when it is asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.transformer_block import TowerName
from audit.trace.lineage import Lineage
from audit.trace.observations import Run
from audit.trace.precision import Precision
from audit.trace.run_states import RunStates, in_dtype
from audit.trace.runs import Runs


@dataclass
class _Passed:
    """What a given run has at the borders of its blocks.

    Attributes:
        run: of the pair's own picture or text.
        entered: what enters each block, and last what the last one gives.
        gave: what each block gives.
    """

    run: Run
    entered: list[Tensor]
    gave: list[Tensor]


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
        self._known: dict[tuple[TowerName, Precision], _Passed] = {}

    def run(self, name: TowerName, precision: Precision) -> Run:
        """The run of a tower."""
        return self._passed(name, precision).run

    def entering(self, name: TowerName, precision: Precision, block: int) -> Tensor:
        """What enters a block, or leaves the last one, (1, …)."""
        return self._passed(name, precision).entered[block]

    def _passed(self, name: TowerName, precision: Precision) -> _Passed:
        known = self._known.get((name, precision))
        if known is None:
            tower = precision.structure.tower(name)
            with precision.entered():
                run = self._runs.opened(tower, self._given[name], Lineage(), precision)
                run.given, run.inputs = True, self._given[name]
                inputs = in_dtype(self._given[name], precision)
                known = _Passed(run, [tower.embed(inputs)], [])
                for block in tower.blocks:
                    x = known.entered[-1]
                    gave = block.run(x, tower.mask(x.shape[1]))
                    known.gave.append(gave)
                    known.entered.append(_next(tower, gave, block.index, inputs))
                self._states.final(tower, known.entered[-1], run)
            self._known[name, precision] = known
        return known

    def classes(self, precision: Precision) -> Run:
        """What stands for the texts of a model whose targets are class ids: all classes."""
        features = self.run("image", precision).features
        count = 0 if features is None else features.shape[-1]
        classes = torch.arange(count, device=self._given["image"].device)
        return self._runs.new("text", Lineage(), classes, frozenset(), precision)

    def complete(
        self, towers: Collection[TowerName], inside: Collection[tuple[TowerName, int]] | None
    ) -> None:
        """Register what lies at the borders of all blocks of some towers, and within some.

        Args:
            towers: names.
            inside: blocks by tower and number, None for all blocks of the towers.
        """
        for known in [one for one in self._known.values() if one.run.tower in towers]:
            run = known.run
            tower = run.precision.structure.tower(run.tower)
            missing = [
                i
                for i in range(len(tower.blocks))
                if (inside is None or (run.tower, i) in inside) and i not in run.blocks
            ]
            if run.borders and not missing:
                continue
            with run.precision.entered():
                if not run.borders:
                    self._states.borders(
                        tower, run, self._given[run.tower], known.entered, known.gave
                    )
                for index in missing:
                    self._states.block(tower, index, known.entered[index], run)
                    self._states.passed_on(tower, known.gave[index], index, run)


def _next(tower: AnyTower, gave: Tensor, index: int, inputs: Tensor) -> Tensor:
    """What enters the next block, or at the end what a block gave."""
    if isinstance(tower, Tower) or index + 1 == len(tower.blocks):
        return gave
    return tower.passed_on(gave, index, inputs)
