"""A residual attention block of a tower, computed with the model's own modules and parameters."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from audit.models.block_names import BlockNames, QkvNames, found, qkv_of
from audit.models.rotary import Rotary

TowerName = Literal["image", "text"]
Mask = Float[Tensor, "*of s t"] | Bool[Tensor, "*of s t"]


@dataclass(frozen=True)
class Block:
    """A residual attention block of a tower: x + scale(attention(norm(x))), then the MLP alike.

    Attributes:
        tower: the tower that it belongs to.
        index: its place in the tower, from 0.
        path: dotted name of the module in the model.
        module: the block itself.
        names: of its parts.
        extra: what the tower gives the block by keyword beside the tokens and the mask, such as
            rotary positions; taken from a pass of the model, for pictures of that pass's grid.
    """

    tower: TowerName
    index: int
    path: str
    module: nn.Module
    names: BlockNames
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def part(self, name: str) -> Any:
        """A part of the block by its dotted name within the block."""
        return self.module.get_submodule(name)

    def path_to(self, *names: str) -> str:
        """Dotted name in the model of a part, by one or more names from the block inwards."""
        return ".".join((self.path, *names))

    @property
    def attention_norm(self) -> nn.Module:
        """The norm before the attention."""
        return self.module.get_submodule(self.names.attention_norm)

    @property
    def attention_module(self) -> nn.Module:
        """The block's multi-head attention."""
        return self.module.get_submodule(self.names.attention)

    @property
    def qkv_names(self) -> QkvNames:
        """Where this block has the weights of its queries, keys and values."""
        names = qkv_of(self.module, self.names)
        if names is None:
            raise TypeError(
                f"expected projections to queries, keys and values in '{self.path}', a "
                f"{type(self.module).__name__}, found none; ask `why_not` before viewing a block"
            )
        return names

    @property
    def rotary(self) -> Rotary | None:
        """The rotary positions that the tower gives the block, or None."""
        half = bool(found(self.module, self.names.rotate_half))
        return Rotary.given(self.extra.get(self.names.rotary), half=half)

    @property
    def heads(self) -> int:
        """Number of attention heads."""
        return int(found(self.module, self.names.heads))

    @property
    def scale(self) -> float | None:
        """What multiplies q . k; None for one over the root of the head's width."""
        own = found(self.module, self.names.logit_scale)
        return None if own is None else float(own)

    @property
    def head_width(self) -> int:
        """Channels of the values of one head."""
        return int(self._projection.weight.shape[1]) // self.heads

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return int(self._projection.weight.shape[0])

    def makes_queries(self, params: frozenset[str]) -> bool:
        """Whether one of some parameters, by dotted name, makes queries, keys or values."""
        names = self.qkv_names
        own = {self.path_to(name) for name in (*names.weights, *names.biases)}
        return not own.isdisjoint(params)

    def normalize(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """The block's first norm, whose output enters the attention."""
        return self.attention_norm(x)  # type: ignore[no-any-return]

    def qkv(
        self, y: Float[Tensor, "b t d"]
    ) -> tuple[Float[Tensor, "b t e"], Float[Tensor, "b t e"], Float[Tensor, "b t e"]]:
        """Queries, keys and values of normalized tokens, heads side by side in the last axis.

        Queries and keys are as they meet in the attention: after their norms and rotations.
        """
        q, k, v = self._projected(y)
        names, rotary = self.names, self.rotary
        return self.met(q, names.query_norm, rotary), self.met(k, names.key_norm, rotary), v

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
        mask: Mask | None = None,
        heads: int | None = None,
    ) -> Float[Tensor, "b h s t"]:
        """Scaled dot products of queries and keys per head, masked.

        Args:
            q: queries, heads side by side.
            k: keys likewise.
            mask: is added, or tells which keys are seen where it is boolean; where there is none,
                the block's own, or a causal one if the tower asks for it.
            heads: split into so many heads, scaled by the root of their width; default the
                block's own heads and scale.
        """
        qh, kh = self.split_heads(q, heads), self.split_heads(k, heads)
        logits, scale = qh @ kh.transpose(-2, -1), self.scale
        if scale is None or heads not in (None, self.heads):
            logits = logits / math.sqrt(qh.shape[-1])
        else:
            logits = logits * scale
        if mask is None:
            mask = self._implied_mask(logits.shape[-2], logits.shape[-1], logits)
        if mask is None:
            return logits
        if mask.dtype == torch.bool:
            return logits.masked_fill(~mask, -math.inf)
        return logits + mask

    def attention(
        self,
        q: Float[Tensor, "b s d"],
        k: Float[Tensor, "b t d"],
        mask: Mask | None = None,
        heads: int | None = None,
    ) -> Float[Tensor, "b h s t"]:
        """Attention probabilities per head; rows sum to 1."""
        return self.attention_logits(q, k, mask, heads).softmax(dim=-1)

    def mix_values_fused(
        self,
        q: Float[Tensor, "b t d"],
        k: Float[Tensor, "b t d"],
        v: Float[Tensor, "b t e"],
        mask: Mask | None = None,
    ) -> Float[Tensor, "b t e"]:
        """The same as attention and `mix_values`, by torch's fused kernel."""
        q, k, v = (self.split_heads(one) for one in (q, k, v))
        mask = self._implied_mask(q.shape[-2], k.shape[-2], q) if mask is None else mask
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(q.dtype)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=self.scale)
        return self.merge_heads(mixed)

    def mix_values(
        self, attention: Float[Tensor, "b h s t"], v: Float[Tensor, "b t d"]
    ) -> Float[Tensor, "b s d"]:
        """Mixed values before inner norm and output projection, heads side by side."""
        return self.merge_heads(attention @ self.split_heads(v, attention.shape[1]))

    def project(self, o: Float[Tensor, "b s e"]) -> Float[Tensor, "b s d"]:
        """The output projection of the attention, after its inner norm where there is one."""
        inner = found(self.module, self.names.inner_norm)
        o = o if inner is None else inner(o)
        return functional.linear(o, self._projection.weight, self._projection.bias)

    def finish(
        self, x: Float[Tensor, "b s d"], projected: Float[Tensor, "b s d"]
    ) -> Float[Tensor, "b s d"]:
        """From the block's input and the projected attention output to the block's output."""
        names, part = self.names, self.part
        x = x + self.scaled(projected, names.attention_scales)
        return x + self.scaled(part(names.mlp)(part(names.mlp_norm)(x)), names.mlp_scales)

    def run(
        self, x: Float[Tensor, "b t d"], mask: Mask | None = None, **extra: Any
    ) -> Float[Tensor, "b t d"]:
        """The block as the model runs it.

        Args:
            x: tokens that enter the block.
            mask: attention mask.
            **extra: keywords beside those of `extra`, or in place of them.

        Raises:
            ValueError: a mask for a block that takes none.
        """
        keywords, name = {**self.extra, **extra}, self.names.mask
        takes = inspect.signature(self.module.forward).parameters
        anything = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values())
        if name in takes or (name and anything and mask is not None):
            keywords[name] = mask
        elif mask is not None:
            raise ValueError(
                f"expected no mask for '{self.path}': a {type(self.module).__name__} takes none"
            )
        keywords = {k: v for k, v in keywords.items() if v is not None or k == name}
        batch_first = getattr(self.attention_module, "batch_first", True)
        out = self.module(x if batch_first else x.transpose(0, 1), **keywords)
        out = out[0] if isinstance(out, tuple) else out
        return out if batch_first else out.transpose(0, 1)  # type: ignore[no-any-return]

    @property
    def _projection(self) -> Any:
        return self.part(self.names.projection)

    def _implied_mask(self, queries: int, keys: int, like: Tensor) -> Tensor | None:
        own = found(self.module, self.names.own_mask)
        if own is not None:
            return own[:queries, :keys].to(like)  # type: ignore[no-any-return]
        if not self.extra.get("is_causal"):
            return None
        return torch.ones(queries, keys, dtype=torch.bool, device=like.device).tril()

    def _projected(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        names = self.qkv_names
        weights = [found(self.module, name) for name in names.weights]
        biases = [found(self.module, name) for name in names.biases]
        if len(weights) == 3:
            q, k, v = (functional.linear(y, w, b) for w, b in zip(weights, biases, strict=True))
            return q, k, v
        (weight,) = weights
        bias = biases[0] if len(biases) == 1 else _joined(biases, weight)
        q, k, v = functional.linear(y, weight, bias).chunk(3, dim=-1)
        return q, k, v

    def met(
        self, z: Float[Tensor, "b t e"], norm: str, rotary: Rotary | None = None
    ) -> Float[Tensor, "b t e"]:
        """Queries or keys as they meet: after a norm of this name within each head, and turned."""
        layer = found(self.module, norm)
        if rotary is None and (layer is None or isinstance(layer, nn.Identity)):
            return z
        split = self.split_heads(z)
        split = split if layer is None else layer(split)
        return self.merge_heads(split if rotary is None else rotary.turn(split)).to(z.dtype)

    def scaled(self, z: Tensor, scales: tuple[str, ...]) -> Tensor:
        """What a branch adds to the tokens: its result, scaled by parts of these names."""
        for name in scales:
            scale = found(self.module, name)
            if scale is not None:
                z = scale(z) if isinstance(scale, nn.Module) else scale * z
        return z


def _joined(biases: list[Tensor | None], weight: Tensor) -> Tensor | None:
    """Three biases as one, zeros for those that are absent."""
    if all(bias is None for bias in biases):
        return None
    zeros = weight.new_zeros(weight.shape[0] // 3)
    return torch.cat([zeros if bias is None else bias for bias in biases])
