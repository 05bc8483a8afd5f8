"""Attention and MLPs of copies of the model under a coarse dtype, replayed on the pristine model.

Where rounding is coarse, a state of the copy may equal the model's to what rounding explains though
another function was computed. A module that receives the same values gives the same numbers to the
last digit, whatever the dtype: that is asked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from audit.models.stage import Stage
from audit.models.structure import AnyTower
from audit.models.transformer_block import Block
from audit.models.unwrapped_values import plain, plain_tree
from audit.models.value_flow import tensors_among
from audit.trace.frames import Frames, call_keywords
from audit.trace.lineage import Lineage
from audit.trace.passes import Passes
from audit.trace.precision import Precision

_ROUNDINGS = 0.25  # of its dtype, root of mean squares: one value in sixteen may differ


@dataclass(frozen=True)
class _Call:
    """A call under way of a module of a copy: which it stands for, what it got, how it computes."""

    path: str
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    precision: Precision


class CopiedParts:
    """Replays the attention and the MLP of each block.

    Args:
        passes: where alterations are noted.
        frames: finds the explainer's line.
    """

    def __init__(self, passes: Passes, frames: Frames) -> None:
        self._passes = passes
        self._frames = frames
        self._calls: dict[int, _Call] = {}
        self._blocks: dict[str, tuple[AnyTower, int]] = {
            path: (tower, block.index)
            for tower in passes.structure.towers
            for block in tower.blocks
            for path in _parts(block)
        }

    def before(self, module: nn.Module, path: str, args: tuple[Any, ...]) -> None:
        """A module of a copy is about to run, which stands for the model's of this path."""
        for tower in self._passes.structure.towers:
            if path == tower.whole and not tower.entry_weights and args:
                weight = next(p for p in module.parameters() if p.is_floating_point())
                self._passes.enter_tower(tower, args[0], weight, self._frames.caller()[0])
        if path not in self._blocks:
            return
        precision = self._passes.precisions.now(next(module.parameters(), None))
        if precision.is_coarse:
            call = _Call(path, plain_tree(args), plain_tree(call_keywords()), precision)
            self._calls[id(module)] = call

    def after(self, module: nn.Module, out: Any) -> tuple[Tensor, Lineage] | None:
        """It has run.

        Returns:
            What it gave and that it is another function's, if it is.
        """
        call = self._calls.pop(id(module), None)
        given = next(tensors_among(out), None)
        if call is None or given is None:
            return None
        own = call.precision.structure.model.get_submodule(call.path)
        with call.precision.entered():
            expected = next(tensors_among(own(*call.args, **call.keywords)), None)
        if expected is None or _alike(plain(given), expected):
            return None
        tower, index = self._blocks[call.path]
        place, _ = self._frames.caller()
        rows = plain(given).reshape(1, -1)
        return given, self._passes.alterations.note(tower.name, index + 1, rows, place)


def _parts(block: Block | Stage) -> tuple[str, ...]:
    """Dotted names of a block's attention and MLP, or of the whole where they are not known."""
    if not isinstance(block, Block):
        return (block.path,)
    return block.path_to(block.names.attention), block.path_to(block.names.mlp)


def _alike(given: Tensor, expected: Tensor) -> bool:
    if given.shape != expected.shape:
        return False
    off = (given.double() - expected.double()).norm()
    return bool(off <= _ROUNDINGS * torch.finfo(given.dtype).eps * expected.double().norm())
