"""All runs of a trace: new ones, and what joins, narrows or recalls others."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from audit.models.structure import AnyTower
from audit.models.transformer_block import TowerName
from audit.trace.lineage import Anchor, Lineage, union
from audit.trace.observations import Run
from audit.trace.precision import Precision

_MOST_INPUTS = 64  # pictures


class Runs(list[Run]):
    """Runs by their number."""

    def __init__(self) -> None:
        super().__init__()
        self._with_inputs: deque[Run] = deque()
        self._kept = 0
        self._chosen: dict[tuple[int, tuple[int, ...]], Run] = {}

    @property
    def precisions(self) -> set[Precision]:
        """In which any of them is computed."""
        return {run.precision for run in self}

    def new(
        self,
        tower: TowerName,
        inherits: Lineage,
        tokens: Tensor | None,
        roots: frozenset[int],
        precision: Precision,
    ) -> Run:
        """Open a run."""
        run = Run(tower, len(self), inherits, tokens, roots, precision)
        self.append(run)
        return run

    def opened(
        self, tower: AnyTower, inputs: Tensor, inherits: Lineage, precision: Precision
    ) -> Run:
        """Open a run from a first layer."""
        tokens = inputs if tower.name == "text" else None
        return self.new(tower.name, inherits, tokens, frozenset({len(self)}), precision)

    def joined(self, tower: TowerName, numbers: list[int]) -> Run:
        """The run of some states, or one that joins the runs of several rows."""
        if len(numbers) == 1:
            return self[numbers[0]]
        runs = [self[n] for n in numbers]
        inherits = union([run.inherits for run in runs])
        return self.new(
            tower, inherits, self.tokens_of(numbers), self.roots_of(numbers), runs[0].precision
        )

    def keep_inputs(self, run: Run, inputs: Tensor) -> None:
        """Keep what entered a run, for gradients by it, until many later ones have come."""
        run.inputs = inputs
        self._with_inputs.append(run)
        self._kept += len(inputs)
        while self._kept > _MOST_INPUTS and len(self._with_inputs) > 1:
            first = self._with_inputs.popleft()
            self._kept -= 0 if first.inputs is None else len(first.inputs)
            first.inputs = None

    def kept_from_earlier(
        self, tower: AnyTower, tokens: Tensor | None, features: Tensor, precision: Precision
    ) -> Anchor:
        """The state of features that an earlier call computed and the explainer kept."""
        run = self.new(tower.name, Lineage(), tokens, frozenset(), precision)
        run.features = features
        return Anchor(tower.name, len(tower.blocks), "feature", "pooled", run.number)

    def some_rows_of(self, run: Run, rows: tuple[int, ...]) -> Run:
        """A run of some of the texts of another."""
        key = (run.number, rows)
        if key not in self._chosen:
            index = list(rows)
            assert run.tokens is not None  # noqa: S101 - asked before
            tokens = run.tokens[index]
            chosen = self.new("text", run.inherits, tokens, run.roots, run.precision)
            chosen.features = None if run.features is None else run.features[index]
            chosen.blocks = set(run.blocks)
            self._chosen[key] = chosen
        return self._chosen[key]

    def roots_of(self, numbers: list[int]) -> frozenset[int]:
        """Runs from a first layer behind some runs."""
        return frozenset().union(*(self[n].roots for n in numbers))

    def tokens_of(self, numbers: list[int]) -> Tensor | None:
        """Token ids of text runs, one after another, None where their shapes differ."""
        known = [t for n in numbers if (t := self[n].tokens) is not None]
        shapes = {t.shape[1:] for t in known}
        return torch.cat(known) if len(shapes) == 1 else None
