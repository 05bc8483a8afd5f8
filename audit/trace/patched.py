"""States put together from rows of others: activation patching and knock-outs of tokens.

A patch takes tokens that the model itself computes in one pass and puts them into another, each at
its own place. Every row of such a state is a row that the model gives to this block for some input:
nothing is computed otherwise, however far the whole is from the given state.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

_FIRST, _LATEST = 8, 8


class TokenRows:
    """The tokens that the model gives to each block, of the first passes and of the latest."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], list[Tensor]] = defaultdict(list)
        self._last: dict[str, tuple[int, Tensor]] = {}

    def add(self, tower: str, block: int, tokens: Tensor) -> None:
        """Remember what enters a block, (b, t, d); of the latest block of a tower all of it."""
        kept = tokens.detach().clone()
        self._last[tower] = block, kept
        known = self._known[tower, block]
        known += [row for row in kept if not any(row is one for one in known)]
        del known[_FIRST:-_LATEST]

    def holds(self, tower: str, block: int, tokens: Tensor) -> bool:
        """Whether these very tokens, (b, t, d), are what the model gives to a block."""
        known = self._alike(tower, block, tokens)
        return all(any(torch.equal(row, x) for x in known) for row in tokens)

    def compose(self, tower: str, block: int, tokens: Tensor, tolerance: float) -> bool:
        """Whether each token, (b, t, d), is one that the model gives to this place."""
        if tokens.ndim != 3:
            return False
        known = self._alike(tower, block, tokens)
        at, last = self._last.get(tower, (-1, tokens))
        if at == block and last.shape == tokens.shape:  # picture by picture
            known.append(last)
        if not known:
            return False
        off = torch.stack([(tokens - one).norm(dim=-1) for one in known]).amin(0)
        scale = torch.stack([one.norm(dim=-1).expand_as(off) for one in known]).amax(0)
        return bool((off <= tolerance * scale).all())

    def _alike(self, tower: str, block: int, tokens: Tensor) -> list[Tensor]:
        return [x for x in self._known[tower, block] if x.shape == tokens.shape[1:]]
