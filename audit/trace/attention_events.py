"""Attention calls whose result is not the model's on the same input."""

from __future__ import annotations

import torch
from torch import Tensor

from audit.models.structure import AnyTower
from audit.models.tower_chain import ChainTower
from audit.models.transformer_block import Block
from audit.models.unwrapped_values import plain, plain_tree
from audit.trace.attention_calls import ATTENTION_CALLS, Executed, softmax_call
from audit.trace.fingerprint import fingerprint
from audit.trace.frames import Frames
from audit.trace.lineage import Lineage, union
from audit.trace.observations import AttentionSeen, Expected, Run
from audit.trace.operations import Operation, shown_name
from audit.trace.passes import Passes

_QUERY_SITES = frozenset({"query", "key", "qkv", "attention logits"})
_TOKEN_SITES = frozenset({"normalized input", "input"})
_SOFTMAX = frozenset({"_softmax", "_safe_softmax"})
_FUSED = frozenset(ATTENTION_CALLS) - _SOFTMAX
OUTSIDE = "values from outside torch"


class AttentionEvents:
    """Notes attention calls.

    Args:
        passes: the runs, with the attention that the model has in them.
        frames: finds the explainer's line.
    """

    def __init__(self, passes: Passes, frames: Frames) -> None:
        self.passes = passes
        self.frames = frames
        self.seen: list[AttentionSeen] = []
        self.alike: list[str] = []
        self.calls = 0

    def same(self, name: str) -> None:
        """Count a call whose result is the model's."""
        self.calls += name in ATTENTION_CALLS

    def other(self, operation: Operation, t: Tensor, inherited: Lineage) -> Lineage:
        """Note a call whose result is not; gives the lineage of the result."""
        name = operation.name
        if t.ndim < 2 or inherited.scalars or (inherited.events and name not in ATTENTION_CALLS):
            return inherited
        where = self._block_of(name, inherited)
        if where is None and name in ATTENTION_CALLS and self._spans_tokens(name, t, inherited):
            return self._of_alike(name, inherited)
        if where is None or not (name in ATTENTION_CALLS or self._is_attention(t, where)):
            return inherited
        self.calls += 1
        tower, index = where
        run = self._run_of(inherited, tower, index)
        expected = run.attention.get(index) if run is not None else None
        given = t, operation.args, operation.kwargs, operation.tensors
        t, args, kwargs, tensors = plain_tree(given)
        call = ATTENTION_CALLS.get(name, softmax_call)
        found = call(t, args, kwargs, tensors, expected)
        if found is None:
            return inherited
        self._note(name, t, where, found, expected)
        return union([inherited, Lineage(events=frozenset({len(self.seen) - 1}))])

    def _note(
        self,
        name: str,
        t: Tensor,
        where: tuple[AnyTower, int],
        found: Executed,
        expected: Expected | None,
    ) -> None:
        executed = found.rows
        rows = executed.flatten(1) if executed is not None else t.reshape(len(t), -1)
        place, own = self.frames.caller()
        self.seen.append(
            AttentionSeen(
                tower=where[0].name,
                block=where[1],
                operation=shown_name(name),
                heads=found.heads,
                executed=executed,
                model=None if expected is None else expected.rows,
                hidden=found.hidden,
                prints=fingerprint(rows),
                inside_model=not own,
                place=place,
            )
        )

    def _block_of(self, name: str, lineage: Lineage) -> tuple[AnyTower, int] | None:
        """The block whose queries and keys these are.

        A softmax of what is read off tokens, such as their norms, is a scaling and no attention.
        """
        sites = _QUERY_SITES | _TOKEN_SITES if name in _FUSED else _QUERY_SITES
        places = [(a.block, a.tower) for a in lineage.anchors if a.site in sites]
        places += [
            (block.index, tower.name)
            for tower in self.passes.structure.towers
            for block in tower.blocks
            if isinstance(block, Block) and block.makes_queries(lineage.params)
        ]
        places += [
            (tower.pooling.first, tower.name)
            for tower in self.passes.structure.towers
            if isinstance(tower, ChainTower)
            and tower.pooling is not None
            and tower.pooling.view.makes_queries(lineage.params)
        ]
        if not places:
            return None
        index, name = max(places)
        tower = self.passes.structure.tower(name)
        known = index < len(tower.blocks) and tower.attends(index)
        return (tower, index) if known else None

    def _spans_tokens(self, name: str, t: Tensor, lineage: Lineage) -> bool:
        """Whether a call with no query behind it relates all tokens of a block to each other."""
        anchors = [a for a in lineage.anchors if not a.terminal]
        if name in _FUSED or not anchors:
            return bool(anchors)
        last = max(anchors, key=lambda a: a.block)
        tower = self.passes.structure.tower(last.tower)
        if last.block >= len(tower.blocks) or t.shape[-1] != t.shape[-2]:
            return False
        tokens = self.passes.states.tokens(tower, last.block)
        return t.shape[-1] in {tokens, tokens - 1}

    def _of_alike(self, name: str, lineage: Lineage) -> Lineage:
        """The lineage of what values or tokens give that attend to their like."""
        anchors = [a for a in lineage.anchors if not a.terminal]
        sites = {a.site for a in anchors if a.block == max(b.block for b in anchors)}
        what = "values" if sites == {"value"} else "tokens"
        self.alike.append(f"{what} attend to {what} by {shown_name(name)}")
        return union([lineage, Lineage(alike=frozenset({len(self.alike) - 1}))])

    def _is_attention(self, t: Tensor, where: tuple[AnyTower, int]) -> bool:
        """Whether rows over the tokens or patches are non-negative and sum to one."""
        tower, index = where
        tokens = self.passes.states.tokens(tower, index)
        if t.shape[-1] not in {tokens, tokens - 1}:
            return False
        values = plain(t)
        sums = values.double().sum(-1)
        near = torch.finfo(t.dtype).eps * t.shape[-1]
        return bool((values >= 0).all()) and bool(((sums - 1).abs() <= near).all())

    def _run_of(self, lineage: Lineage, tower: AnyTower, index: int) -> Run | None:
        numbers = [a.run for a in lineage.anchors if a.tower == tower.name]
        known = [self.passes.runs[n] for n in numbers if index in self.passes.runs[n].blocks]
        return known[-1] if known else None
