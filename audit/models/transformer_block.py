"""A residual attention block of a tower, computed with the model's own modules and parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

TowerName = Literal["image", "text"]


@dataclass(frozen=True)
class BlockNames:
    """Where a class of blocks keeps its parts, as dotted names within the block.

    Attributes:
        attention: multi-head attention.
        attention_norm: LayerNorm before it.
        attention_scale: what scales its output.
        mlp: the whole MLP.
        mlp_norm: LayerNorm before it.
        mlp_scale: what scales its output.
        mlp_first: first linear layer of the MLP.
        mlp_activation: its activation.
        mlp_last: its last linear layer.
    """

    attention: str
    attention_norm: str
    attention_scale: str
    mlp: str
    mlp_norm: str
    mlp_scale: str
    mlp_first: str
    mlp_activation: str
    mlp_last: str


@dataclass(frozen=True)
class Block:
    """A residual attention block of a tower.

    Attributes:
        tower: the tower that it belongs to.
        index: its place in the tower, from 0.
        path: dotted name of the module in the model.
        module: the block itself.
        names: of its parts.
    """

    tower: TowerName
    index: int
    path: str
    module: nn.Module
    names: BlockNames

    def part(self, name: str) -> Any:
        """A part of the block by its dotted name within the block."""
        return self.module.get_submodule(name)

    def path_to(self, *names: str) -> str:
        """Dotted name in the model of a part, by one or more names from the block inwards."""
        return ".".join((self.path, *names))

    @property
    def attention_norm(self) -> nn.Module:
        """The LayerNorm before the attention."""
        return self.module.get_submodule(self.names.attention_norm)

    @property
    def attention_module(self) -> nn.MultiheadAttention:
        """The block's multi-head attention."""
        attn = self.part(self.names.attention)
        assert isinstance(attn, nn.MultiheadAttention)  # noqa: S101 - checked in anatomy_of
        return attn

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(self.attention_module.num_heads)

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return int(self.attention_module.embed_dim)

    def makes_queries(self, params: frozenset[str]) -> bool:
        """Whether one of some parameters, by dotted name, makes queries, keys or values."""
        paths = (f"{self.path_to(self.names.attention)}.in_proj",)
        return any(path.startswith(paths) for path in params)

    def normalize(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """The block's first LayerNorm, whose output enters the attention."""
        return self.attention_norm(x)  # type: ignore[no-any-return]

    def qkv(
        self, y: Float[Tensor, "b t d"]
    ) -> tuple[Float[Tensor, "b t d"], Float[Tensor, "b t d"], Float[Tensor, "b t d"]]:
        """Queries, keys and values of normalized tokens, heads side by side in the last axis."""
        attn = self.attention_module
        q, k, v = functional.linear(y, attn.in_proj_weight, attn.in_proj_bias).chunk(3, dim=-1)
        return q, k, v

    def split_heads(
        self, z: Float[Tensor, "b t d"], heads: int | None = None
    ) -> Float[Tensor, "b h t e"]:
        """Move the heads into an axis of their own."""
        split: Tensor = z.unflatten(-1, (heads or self.heads, -1))
        return split.transpose(1, 2)

    def merge_heads(self, z: Float[Tensor, "b h t e"]) -> Float[Tensor, "b t d"]:
        """Undo `split_heads`."""
        return z.transpose(1, 2).flatten(2)

    def attention_logits(
        self,
        q: Float[Tensor, "b s d"],
        k: Float[Tensor, "b t d"],
        mask: Float[Tensor, "s t"] | None = None,
        heads: int | None = None,
    ) -> Float[Tensor, "b h s t"]:
        """Scaled dot products of queries and keys per head, plus the additive mask."""
        qh, kh = self.split_heads(q, heads), self.split_heads(k, heads)
        logits = qh @ kh.transpose(-2, -1) / math.sqrt(qh.shape[-1])
        return logits if mask is None else logits + mask

    def attention(
        self,
        q: Float[Tensor, "b s d"],
        k: Float[Tensor, "b t d"],
        mask: Float[Tensor, "s t"] | None = None,
        heads: int | None = None,
    ) -> Float[Tensor, "b h s t"]:
        """Attention probabilities per head; rows sum to 1."""
        return self.attention_logits(q, k, mask, heads).softmax(dim=-1)

    def mix_values(
        self, attention: Float[Tensor, "b h s t"], v: Float[Tensor, "b t d"]
    ) -> Float[Tensor, "b s d"]:
        """Attention output before the output projection, heads side by side."""
        return self.merge_heads(attention @ self.split_heads(v, attention.shape[1]))

    def project(self, o: Float[Tensor, "b s d"]) -> Float[Tensor, "b s d"]:
        """The output projection of the attention."""
        out = self.attention_module.out_proj
        return functional.linear(o, out.weight, out.bias)

    def finish(
        self, x: Float[Tensor, "b s d"], projected: Float[Tensor, "b s d"]
    ) -> Float[Tensor, "b s d"]:
        """From the block's input and the projected attention output to the block's output."""
        names, part = self.names, self.part
        x = x + part(names.attention_scale)(projected)
        hidden = part(names.mlp)(part(names.mlp_norm)(x))
        return x + part(names.mlp_scale)(hidden)  # type: ignore[no-any-return]

    def run(
        self, x: Float[Tensor, "b t d"], mask: Float[Tensor, "t t"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """The block as the model runs it."""
        return self.module(x, attn_mask=mask)  # type: ignore[no-any-return]
