"""A tower of any library whose blocks are known, every one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.models.readout import Readout
from audit.models.tower import TowerNames
from audit.models.tower_chain import ChainTower
from audit.models.transformer_block import Block, TowerName


@dataclass(frozen=True)
class BlockTower:
    """Blocks in a row; what comes before and behind them is computed by the model itself.

    Attributes:
        chain: the tower as its steps.
        first: number of the first block among them.
        blocks: its blocks in order.
        grid: patch rows and columns, (0, 0) for text.
        prefix: tokens before the patches.
        reading: how the feature is made of what the last block gives; None where that is none of
            the ways that are known, and for text.
        pools_last: of a text tower, whether another token than that of the largest id is read.
    """

    chain: ChainTower
    first: int
    blocks: tuple[Block, ...]
    grid: tuple[int, int] = (0, 0)
    prefix: int = 0
    reading: Readout | None = None
    pools_last: bool = False

    @property
    def name(self) -> TowerName:
        """``image`` or ``text``."""
        return self.chain.name

    @property
    def module(self) -> nn.Module:
        """The module in which its parts have the names of `names`: the whole model."""
        return self.chain.model

    @property
    def path(self) -> str:
        """Dotted name of `module` in the model: it is the whole."""
        return ""

    @property
    def heads(self) -> int:
        """Heads of the last block."""
        return self.blocks[-1].heads

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.blocks[-1].width

    @property
    def tokens(self) -> int:
        """How many tokens a picture becomes."""
        return self.prefix + self.grid[0] * self.grid[1]

    @property
    def names(self) -> TowerNames:
        """Norm and projection behind the last block, where the tower ends with these two."""
        ends = [self.chain.blocks[i] for i in range(self.first + len(self.blocks), self._steps)]
        norm, projection = ([*ends, None, None] if len(ends) < 2 else ends)[-2:]
        known = isinstance(norm and norm.module, nn.LayerNorm)
        known = known and isinstance(projection and projection.module, nn.Linear)
        entry, operation = next(iter(self.chain.entry_weights.items()), ("", ""))
        return TowerNames(
            final_norm=norm.path if norm and known else "",
            projection=projection.path if projection and known else "",
            entry=entry,
            entered_by=operation,
        )

    @property
    def projection(self) -> Any:
        """The projection to the feature, a linear layer, or None."""
        path = self.names.projection
        return self.module.get_submodule(path) if path else None

    @property
    def _steps(self) -> int:
        return len(self.chain.blocks)

    def path_to(self, *names: str) -> str:
        """Dotted name in the model of a part, which `names` has from the model inwards."""
        return ".".join(names)

    def holds(self, path: str) -> bool:
        """Whether a parameter, by its dotted name, is one of the tower's."""
        return self.chain.holds(path)

    def on(self, model: nn.Module) -> BlockTower:
        """The same tower of a copy of the model."""
        chain = self.chain.on(model)
        blocks = tuple(replace(b, module=model.get_submodule(b.path)) for b in self.blocks)
        reading = None if self.reading is None else self.reading.on(model, chain)
        return replace(self, chain=chain, blocks=blocks, reading=reading)

    def mask(self, length: int) -> Float[Tensor, "*of t t"] | None:
        """The attention mask that the model calls its blocks with, or None."""
        return self.chain.mask(length)

    def embed(self, inputs: Tensor) -> Float[Tensor, "b t d"]:
        """Tokens that enter the first block."""
        return self.chain.run(self.chain.embed(inputs), 0, self.first, inputs)

    def run(
        self, x: Float[Tensor, "b t d"], start: int, stop: int, inputs: Tensor | None = None
    ) -> Float[Tensor, "b t d"]:
        """Blocks ``start`` to ``stop - 1`` as the model runs them, whatever entered the tower."""
        del inputs
        mask = self.mask(x.shape[1])
        for block in self.blocks[start:stop]:
            x = block.run(x, mask)
        return x

    def pooled_index(self, inputs: Tensor) -> Int[Tensor, " b"]:
        """Index of the token that is pooled; of text the last one where that is not known."""
        if self.name == "text" and self.pools_last:
            return torch.full((len(inputs),), inputs.shape[1] - 1, device=inputs.device)
        return self.chain.pooled_index(inputs)

    def features(self, inputs: Tensor) -> Float[Tensor, "b e"]:
        """The feature that the score is made of, by the model's own forward."""
        return self.chain.forward(self.chain.model, inputs)

    def score_features(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b e"]:
        """The same, given what the last block gives."""
        last, end = self.first + len(self.blocks) - 1, self._steps
        if last + 1 < end:
            x = self.chain.run(self.chain.passed_on(x, last), last + 1, end)
        feature = self.chain.readout(x)
        return functional.normalize(feature, dim=-1) if self.chain.normalizes else feature
