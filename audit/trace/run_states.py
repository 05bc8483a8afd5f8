"""The states of a run, registered so that the explainer's tensors are recognized by them."""

from __future__ import annotations

import torch
from torch import Tensor

from audit.models.anatomy import Tower, TowerName
from audit.models.unwrapped_values import plain
from audit.trace.lineage import Anchor
from audit.trace.observations import Expected, Run
from audit.trace.patched import TokenRows
from audit.trace.precision import Precision
from audit.trace.rounding import Rounding
from audit.trace.state_index import StateIndex
from audit.trace.states import block_states, embedding_states, final_states


class RunStates:
    """Registers what the unmodified model computes.

    Args:
        given: the pair's picture and token ids.
        rounding: how far it moves states.
        index: of all states.
    """

    def __init__(
        self, given: dict[TowerName, Tensor], rounding: Rounding, index: StateIndex
    ) -> None:
        self.rows = TokenRows()
        self._given = given
        self._rounding = rounding
        self._index = index

    def register(self, run: Run, block: int, site: str, part: str, state: Tensor) -> None:
        """Register one state."""
        tolerance = self._rounding.tolerance(run.precision, site)
        self._index.add(Anchor(run.tower, block, site, part, run.number), state, tolerance)

    def embedded(self, tower: Tower, run: Run, inputs: Tensor) -> None:
        """Register the states before the first block."""
        inputs = inputs.reshape(-1, *self._given[tower.name].shape[1:])
        for site, part, state in embedding_states(tower, in_dtype(inputs, run.precision)):
            self.register(run, 0, site, part, state)

    def block(self, tower: Tower, index: int, x: Tensor, run: Run) -> None:
        """Register every state of a block that receives values, (b, t, d)."""
        pooled = self.pooled(tower, run, len(x), x.shape[1])
        block = tower.blocks[index]
        for site, part, state in block_states(block, x, tower.mask(x.shape[1]), pooled):
            self.register(run, index, site, part, state)
            if part == "all" and (site == "output" or (site == "input" and run.given)):
                self.rows.add(tower.name, index + (site == "output"), state)
            if site == "attention" and part == "pooled" and state.shape[-1] == x.shape[1]:
                run.attention[index] = Expected(state, pooled)
        run.blocks.add(index)

    def final(self, tower: Tower, x: Tensor, run: Run) -> None:
        """Register the states after the last block, from (b, t, d), or (b, d) pooled already."""
        pooled = None if x.ndim == 2 else self.pooled(tower, run, len(x), x.shape[1])
        for site, part, state in final_states(tower, x, pooled):
            self.register(run, len(tower.blocks), site, part, state)
            if site == "feature":
                run.features = state.detach()
        run.blocks.add(len(tower.blocks))

    def pooled(self, tower: Tower, run: Run, rows: int, length: int) -> Tensor:
        """Index of the pooled token of each row."""
        device = self._given["text"].device
        if tower.name == "image":
            return torch.zeros(rows, dtype=torch.long, device=device)
        tokens = run.tokens
        if tokens is None or len(tokens) != rows:
            tokens = self._given["text"].expand(rows, -1)
        return tower.pooled_index(tokens).clamp(max=length - 1)

    def tokens_first(
        self, tower: Tower, x: Tensor, index: int, precision: Precision
    ) -> Tensor | None:
        """The values as (b, t, d), or (b, d) where only pooled ones enter the final norm."""
        x = plain(x)
        x = x if precision.autocast else x.to(precision.weights)
        if x.ndim == 4 and 1 in x.shape[:2]:  # a batch of vmap
            x = x.flatten(0, 1)
        if index == len(tower.blocks) and x.ndim == 2:
            return x
        if x.ndim == 2:
            return x.unsqueeze(0)
        if x.ndim != 3:
            return None
        expected = tower.grid[0] * tower.grid[1] + 1
        if tower.name == "text":
            expected = self._given["text"].shape[1]
        if x.shape[1] != expected and x.shape[0] == expected:
            return x.transpose(0, 1)
        return x


def in_dtype(inputs: Tensor, precision: Precision) -> Tensor:
    """Pictures in the dtype of the model's weights; token ids as they are."""
    return inputs.to(precision.weights) if inputs.is_floating_point() else inputs
