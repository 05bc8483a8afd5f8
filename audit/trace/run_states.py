"""The states of a run, registered so that the explainer's tensors are recognized by them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.tower_chain import ChainTower
from audit.models.transformer_block import Block, TowerName
from audit.models.unwrapped_values import plain
from audit.trace.lineage import OUTPUTS, Anchor
from audit.trace.observations import Expected, Run
from audit.trace.patched import TokenRows
from audit.trace.precision import Precision
from audit.trace.rounding import Rounding
from audit.trace.state_index import StateIndex
from audit.trace.states import (
    pooling_states,
    tell_block,
    tell_embedding,
    tell_final,
    tell_passed_on,
    token_parts,
)


class RunStates:
    """Registers what the unmodified model computes.

    Args:
        given: the pair's picture and token ids.
        targets: the pair's token ids or class id.
        rounding: how far it moves states.
        index: of all states.
    """

    def __init__(
        self,
        given: dict[TowerName, Tensor],
        targets: Tensor,
        rounding: Rounding,
        index: StateIndex,
    ) -> None:
        self.rows = TokenRows()
        self.before_blocks: set[tuple[TowerName, str]] = set()
        self._given = given
        self._targets = targets
        self._rounding = rounding
        self._index = index

    def register(self, run: Run, block: int, site: str, part: str, state: Tensor) -> None:
        """Register one state."""
        tolerance = self._rounding.tolerance(run.precision, site)
        self._index.add(Anchor(run.tower, block, site, part, run.number), state, tolerance)

    def embedded(self, tower: AnyTower, run: Run, inputs: Tensor) -> Tensor:
        """Register the states before the first block; gives what enters it."""
        inputs = inputs.reshape(-1, *inputs.shape[1 - self._given[tower.name].ndim :])
        given = in_dtype(inputs, run.precision)

        def told(site: str, part: str, state: Tensor) -> None:
            self.register(run, 0, site, part, state)
            if site != "input":
                self.before_blocks.add((tower.name, site))

        return tell_embedding(tower, given, told)

    def borders(
        self, tower: AnyTower, run: Run, inputs: Tensor, entered: list[Tensor], gave: list[Tensor]
    ) -> None:
        """Register the states before the first block, and what enters and leaves every block."""
        self.embedded(tower, run, inputs)
        for index, (x, output) in enumerate(zip(entered, gave, strict=False)):
            self.border(tower, run, index, "input", x)
            self.border(tower, run, index, "output", output)
        run.borders = True

    def border(self, tower: AnyTower, run: Run, index: int, site: str, x: Tensor) -> None:
        """Register what enters a block (``input``) or leaves it (``output``)."""
        self.rows.add(tower.name, index + (site == "output"), x)
        parts: Iterable[tuple[str, Tensor]] = (("all", x),)
        if isinstance(tower.blocks[index], Block):
            parts = token_parts(x, self.pooled(tower, run, len(x), x.shape[1]))
        for part, state in parts:
            self.register(run, index, site, part, state)

    def block(self, tower: AnyTower, index: int, x: Tensor, run: Run) -> Tensor:
        """Register every state of a block that receives values, (b, …); gives its output."""
        length = x.shape[1]
        pooled = self.pooled(tower, run, len(x), length)
        mask = tower.mask(length)
        hidden = torch.isneginf(mask) if mask is not None and mask.ndim == 2 else None

        def told(site: str, part: str, state: Tensor) -> None:
            self.register(run, index, site, part, state)
            if part == "all" and (site == "output" or (site == "input" and run.given)):
                self.rows.add(tower.name, index + (site == "output"), state)
            if site == "attention" and part == "pooled" and state.shape[-1] == length:
                run.attention[index] = Expected(state, pooled, hidden)

        output = tell_block(tower.blocks[index], x, mask, pooled, told)
        if isinstance(tower, ChainTower) and tower.pooling and index == tower.pooling.first:
            for site, part, state in pooling_states(tower.pooling.view, x):
                self.register(run, index, site, part, state)
                if site == "attention" and state.ndim == 4:
                    run.attention[index] = Expected(state[:, :, 0], pooled)
        run.blocks.add(index)
        return output

    def passed_on(self, tower: AnyTower, output: Tensor, index: int, run: Run) -> Tensor | None:
        """Register what a block's output is until it enters the next; gives that.

        Blocks that no weight of their own shows to be entered are gone through as well. At the end
        of a tower without a final norm of its own the feature is registered.
        """
        if isinstance(tower, Tower):
            return None
        x = output
        if index + 1 == len(tower.blocks):
            self.final(tower, x, run)
            return None
        inputs = self._inputs(run, len(x))
        self._rounding.measure(run.precision)
        x = tell_passed_on(
            tower, x, index, inputs, lambda *state: self.register(run, index, *state)
        )
        self.register(run, index + 1, "input", "all", x)
        return x

    def final(self, tower: AnyTower, x: Tensor, run: Run) -> None:
        """Register the states after the last block, from its output, or (b, d) pooled already."""
        pooled = None if x.ndim == 2 else self.pooled(tower, run, len(x), x.shape[1])
        end = len(tower.blocks)
        self._rounding.measure(run.precision)

        def told(site: str, part: str, state: Tensor) -> None:
            self.register(run, end, site, part, state)
            if site == OUTPUTS:
                run.outputs = state.detach()

        feature = tell_final(
            tower,
            x,
            pooled,
            self._inputs(run, len(x)),
            told,
        )
        run.features = feature.detach()
        run.blocks.add(end)

    def _inputs(self, run: Run, rows: int) -> Tensor | None:
        """What entered the tower, where a run of so many rows knows it."""
        known = run.tokens if run.tower == "text" else run.inputs
        return known if known is not None and len(known) == rows else None

    def pooled(self, tower: AnyTower, run: Run, rows: int, length: int) -> Tensor:
        """Index of the pooled token of each row."""
        device = self._targets.device
        if tower.name == "image":
            return torch.zeros(rows, dtype=torch.long, device=device)
        tokens = run.tokens
        if tokens is None or len(tokens) != rows:
            tokens = self._targets.expand(rows, -1)
        return tower.pooled_index(tokens).clamp(max=length - 1)

    def batch_first(
        self, tower: AnyTower, x: Tensor, index: int, precision: Precision
    ) -> Tensor | None:
        """The values as a block takes them, or (b, d) where only pooled ones enter the end."""
        x = plain(x)
        x = x if precision.autocast else x.to(precision.weights)
        if not isinstance(tower, Tower):
            return self._like_step(tower, x, index)
        if x.ndim == 4 and 1 in x.shape[:2]:  # a batch of vmap
            x = x.flatten(0, 1)
        if index == len(tower.blocks) and x.ndim == 2:
            return x
        if x.ndim == 2:
            return x.unsqueeze(0)
        if x.ndim != 3:
            return None
        expected = self.tokens(tower, index)
        if x.shape[1] != expected and x.shape[0] == expected:
            return x.transpose(0, 1)
        return x

    def tokens(self, tower: AnyTower, index: int) -> int:
        """How many tokens enter a block."""
        if not isinstance(tower, Tower):
            return tower.steps[index].shape[0]
        return self._targets.shape[1] if tower.name == "text" else math.prod(tower.grid) + 1

    def _like_step(self, tower: ChainTower, x: Tensor, index: int) -> Tensor | None:
        """Values that enter a step, with the batch first; None where their shape is another."""
        usual = tower.steps[index].shape
        if x.ndim == len(usual) + 2:  # a batch of vmap
            x = x.flatten(0, 1)
        if x.ndim == len(usual):
            x = x.unsqueeze(0)
        fits = x.ndim == len(usual) + 1 and x.shape[1] == usual[0]
        return x if fits or (len(usual) == 2 and x.ndim == 3) else None


def in_dtype(inputs: Tensor, precision: Precision) -> Tensor:
    """Pictures in the dtype of the model's weights; token ids as they are."""
    return inputs.to(precision.weights) if inputs.is_floating_point() else inputs
