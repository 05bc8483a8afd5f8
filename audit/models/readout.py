"""How a tower makes its feature of what the last block gives, step by step.

A readout is tried on the tower: what it gives of tokens that are drawn must be what the model
itself makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from audit.models.attention_pooling import AttentionPooling
from audit.models.block_check import is_close
from audit.models.tower_chain import ChainTower

Range = tuple[int, int]


@dataclass(frozen=True)
class Readout:
    """Modules that treat each token by itself, a pooling, modules that treat what it gives.

    Attributes:
        chain: the tower.
        before: numbers of the steps between the last block and the pooling.
        ranges: first token, and the one after the last, of those whose mean is read; the means
            stand side by side. One range of one token is a class token. Unused where a pooling
            by attention is.
        pooling: by attention, or None.
        after: numbers of the steps behind the pooling.
        unit: whether the feature is what the last of them gives at unit length.
    """

    chain: ChainTower
    before: tuple[int, ...]
    ranges: tuple[Range, ...]
    pooling: AttentionPooling | None
    after: tuple[int, ...]
    unit: bool = False

    @property
    def rows(self) -> slice:
        """The tokens that are looked at: the first one alone, or any."""
        alone = self.pooling is None and self.ranges == ((0, 1),)
        return slice(0, 1) if alone else slice(None)

    @property
    def queries(self) -> slice | None:
        """Of the tokens that look, those whose attention is read alike; None where it is not."""
        if self.pooling is not None or self.ranges == ((0, 1),):
            return slice(None)
        return slice(*self.ranges[0]) if len(self.ranges) == 1 else None

    @property
    def in_words(self) -> str:
        """What reads the tokens."""
        if self.pooling is not None:
            return "attention pooling"
        kinds = ["the class token" if b - a == 1 else "the mean of tokens" for a, b in self.ranges]
        return " beside ".join(kinds)

    def features(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b e"]:
        """The feature that the score is made of, given all that the last block gives."""
        return self.of_pooled(self.pooled(x))

    def pooled(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b e"]:
        """What the pooling gives, given all that the last block gives."""
        if self.pooling is None:
            return self._means(x[:, self.rows])
        q, k, v = self.pooling.qkv(self.normalized(x))
        block = self.pooling.block
        o = block.mix_values(block.attention(q, k), v)
        return self.pooling.finish(block.project(o))

    def normalized(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """Tokens as the pooling receives them."""
        for index in self.before:
            x = self.chain.blocks[index].run(x)
        return x

    def of_rows(self, x: Float[Tensor, "b r d"]) -> Float[Tensor, "b e"]:
        """The feature, given the tokens of `rows` as the last block gives them."""
        return self.of_pooled(self._means(x))

    def of_pooled(self, pooled: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        """The feature, given what the pooling gives."""
        for index in self.after:
            pooled = self.chain.blocks[index].run(pooled)
        return functional.normalize(pooled, dim=-1) if self.unit else pooled

    def _means(self, x: Float[Tensor, "b r d"]) -> Float[Tensor, "b e"]:
        x = self.normalized(x)
        parts = [x[:, a] if b - a == 1 else x[:, a:b].mean(dim=1) for a, b in self.ranges]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def on(self, model: nn.Module, chain: ChainTower) -> Readout:
        """The same of a copy of the model, whose tower is given."""
        pooling = None if self.pooling is None else self.pooling.on(model)
        return replace(self, chain=chain, pooling=pooling)


@torch.no_grad()
def readout_of(
    chain: ChainTower, last: int, prefix: int, x: Float[Tensor, "b t d"], own: Tensor
) -> Readout | None:
    """The readout of a tower, None where it is none of these.

    Args:
        chain: the tower.
        last: number of its last block.
        prefix: tokens before the patches.
        x: tokens that the last block may give, all of them different.
        own: the feature that the model makes of them.
    """
    for plain in _candidates(chain, last, prefix, x):
        for unit in (False, True):
            readout = replace(plain, unit=unit)
            try:
                fits = is_close(readout.features(x), own)
                if fits and readout.after:  # a class head may give nothing but zeros
                    entering = chain.passed_on(x, last)
                    entering = chain.run(entering, last + 1, readout.after[0])
                    fits = is_close(readout.pooled(x), entering)
            except (RuntimeError, TypeError):  # shapes that do not go together
                break
            if fits:
                return readout
    return None


def _candidates(chain: ChainTower, last: int, prefix: int, x: Tensor) -> Iterator[Readout]:
    steps = range(last + 1, len(chain.blocks))
    found = chain.pooling
    if found is not None and found.first > last:
        behind = tuple(range(found.stop, len(chain.blocks)))
        yield Readout(chain, tuple(range(last + 1, found.first)), (), found.view, behind)
    before = tuple(i for i in steps if len(chain.steps[i].shape) == 2)
    after = tuple(i for i in steps if i not in before)
    count = x.shape[1]
    patches = (prefix, count)
    every = ((0, 1),), ((0, count),), (patches,), ((0, 1), patches)
    for ranges in every:
        if prefix or (0, 1) not in ranges:
            yield Readout(chain, before, ranges, None, after)
