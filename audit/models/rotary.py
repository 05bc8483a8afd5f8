"""Rotary positions, by which queries and keys of one head are turned (Su et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Rotary:
    """A rotation of the pairs of a head's channels, for every token but the first ones.

    Attributes:
        sin: of the angles, channel by channel, for one set of positions or one a head.
        cos: likewise.
        half: whether channel i is paired with i + width / 2, not with its neighbor.
    """

    sin: Float[Tensor, "*h p e"]
    cos: Float[Tensor, "*h p e"]
    half: bool

    @classmethod
    def given(cls, positions: Any, *, half: bool) -> Rotary | None:
        """What a block is given for its positions.

        Args:
            positions: sine and cosine side by side (timm), the pair of cosine and sine
                (transformers, which turns halves), or None.
            half: whether halves are turned, where the pair does not say so itself.
        """
        if positions is None:
            return None
        if isinstance(positions, Tensor):
            sin, cos = positions.chunk(2, dim=-1)
            return cls(sin, cos, half)
        cos, sin = positions
        return cls(sin, cos, half=True)

    def turn(self, z: Float[Tensor, "b h t e"]) -> Float[Tensor, "b h t e"]:
        """Turn the last tokens, as many as there are positions; the ones before stay."""
        prefix = z.shape[-2] - self.sin.shape[-2]
        still, turning = z[..., :prefix, :], z[..., prefix:, :]
        turned = turning * self.cos + self._quarter(turning) * self.sin
        return torch.cat([still, turned.to(z.dtype)], dim=-2)

    def _quarter(self, z: Tensor) -> Tensor:
        if self.half:
            first, second = z.chunk(2, dim=-1)
            return torch.cat([-second, first], dim=-1)
        return torch.stack([-z[..., 1::2], z[..., ::2]], dim=-1).flatten(-2)
