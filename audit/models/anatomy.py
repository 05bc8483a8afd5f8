"""One view of a CLIP-like model: its towers, blocks, heads, and the q, k, v of any block.

The view computes with the model's own modules and parameters. Everything that the audit or an
explainer wants to know of the inside of a model is asked here, so that a new family of models is
added in one place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

TowerName = Literal["image", "text"]


class UnknownAnatomyError(TypeError):
    """The model has no anatomy that this package knows."""


@dataclass(frozen=True)
class Block:
    """A residual attention block of a tower.

    Attributes:
        tower: the tower that it belongs to.
        index: its place in the tower, from 0.
        path: dotted name of the module in the model.
        module: the block itself.
    """

    tower: TowerName
    index: int
    path: str
    module: nn.Module

    @property
    def attention_module(self) -> nn.MultiheadAttention:
        """The block's multi-head attention."""
        attn = self.module.attn
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

    def normalize(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """The block's first LayerNorm, whose output enters the attention."""
        return self.module.ln_1(x)  # type: ignore[operator, no-any-return]

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
        block = self.module
        x = x + block.ls_1(projected)  # type: ignore[operator]
        return x + block.ls_2(block.mlp(block.ln_2(x)))  # type: ignore[operator, no-any-return]

    def run(
        self, x: Float[Tensor, "b t d"], mask: Float[Tensor, "t t"] | None = None
    ) -> Float[Tensor, "b t d"]:
        """The block as the model runs it."""
        return self.module(x, attn_mask=mask)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Tower:
    """A transformer tower of the model.

    Attributes:
        name: ``image`` or ``text``.
        module: the module whose forward is the tower; the whole model where the text tower is not
            a module of its own (open_clip's `CLIP`).
        path: its dotted name, empty for the whole model.
        blocks: its blocks in order.
        grid: patch rows and columns, (0, 0) for text.
        patch_size: side of a patch in pixels, 0 for text.
    """

    name: TowerName
    module: nn.Module
    path: str
    blocks: tuple[Block, ...]
    grid: tuple[int, int]
    patch_size: int

    @property
    def heads(self) -> int:
        """Heads of the last block."""
        return self.blocks[-1].heads

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.blocks[-1].width

    def embed(self, inputs: Tensor) -> Float[Tensor, "b t d"]:
        """Tokens that enter the first block: of pictures (b, 3, H, W) or of token ids (b, t)."""
        tower = self.module
        if self.name == "image":
            return tower._embeds(inputs)  # type: ignore[operator, no-any-return]  # noqa: SLF001
        dtype = self.blocks[0].module.get_weight_dtype()  # type: ignore[operator]
        x = tower.token_embedding(inputs).to(dtype)  # type: ignore[operator]
        return x + tower.positional_embedding[: inputs.shape[1]].to(dtype)  # type: ignore[index, no-any-return]

    def mask(self, length: int) -> Float[Tensor, "t t"] | None:
        """The additive attention mask that the tower uses, or None."""
        mask = getattr(self.module, "attn_mask", None) if self.name == "text" else None
        return None if mask is None else mask[:length, :length]

    def run(self, x: Float[Tensor, "b t d"], start: int, stop: int) -> Float[Tensor, "b t d"]:
        """Blocks ``start`` to ``stop - 1`` as the model runs them."""
        mask = self.mask(x.shape[1])
        for block in self.blocks[start:stop]:
            x = block.run(x, mask)
        return x

    def pooled_index(self, inputs: Tensor) -> Int[Tensor, " b"]:
        """Index of the token that is pooled: the class token, or the end-of-text token."""
        if self.name == "image":
            return torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)
        return inputs.argmax(dim=-1)

    def readout(self, pooled: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        """From the pooled token after the last block to the feature (not normalized)."""
        tower: Any = self.module
        norm = tower.ln_post if self.name == "image" else tower.ln_final
        projection = tower.proj if self.name == "image" else tower.text_projection
        feature: Tensor = norm(pooled)
        if isinstance(projection, nn.Linear):
            feature = projection(feature)
        elif projection is not None:
            feature = feature @ projection
        return feature


@dataclass(frozen=True)
class Anatomy:
    """A model under audit: its two towers and its score."""

    model: nn.Module
    image: Tower
    text: Tower

    def tower(self, name: TowerName) -> Tower:
        """A tower by name."""
        return self.image if name == "image" else self.text

    def image_features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b e"]:
        """Normalized image features, by the model's own forward."""
        return self.model.encode_image(images, normalize=True)  # type: ignore[operator, no-any-return]

    def text_features(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b e"]:
        """Normalized text features, by the model's own forward."""
        return self.model.encode_text(tokens, normalize=True)  # type: ignore[operator, no-any-return]

    def scores(
        self, images: Float[Tensor, "b 3 H W"], tokens: Int[Tensor, "b t"]
    ) -> Float[Tensor, " b"]:
        """Cosine score of each pair, in [-1, 1]."""
        return (self.image_features(images) * self.text_features(tokens)).sum(-1)


def anatomy_of(model: nn.Module) -> Anatomy:
    """View a model's anatomy.

    Args:
        model: an open_clip `CLIP` or `CustomTextCLIP` with a ViT image tower pooled at the class
            token and a text transformer pooled at the end-of-text token.

    Raises:
        UnknownAnatomyError: for any other model; the message names the part that is not known.
    """
    visual = getattr(model, "visual", None)
    if visual is None or not hasattr(visual, "transformer") or not hasattr(visual, "conv1"):
        raise UnknownAnatomyError(
            f"expected an open_clip model with a ViT image tower, got {type(model).__name__} with "
            f"image tower {type(visual).__name__}; choose a ViT model such as ViT-B-16"
        )
    if getattr(visual, "pool_type", None) != "tok" or getattr(visual, "attn_pool", None):
        raise UnknownAnatomyError(
            "expected class-token pooling in the image tower, got pooling "
            f"'{getattr(visual, 'pool_type', '?')}'; choose a model that pools at the class token"
        )
    text: Any = model.text if hasattr(model, "text") else model
    text_path = "text" if hasattr(model, "text") else ""
    if not hasattr(text, "transformer") or not hasattr(text.transformer, "resblocks"):
        raise UnknownAnatomyError(
            f"expected an open_clip text transformer, got {type(text).__name__}"
        )
    pool = getattr(text, "pool_type", getattr(text, "text_pool_type", "argmax"))
    if pool not in ("argmax", "eos"):
        raise UnknownAnatomyError(
            f"expected text pooling at the end-of-text token ('argmax'), got '{pool}'"
        )
    patch = visual.conv1.kernel_size[0]
    grid = (int(visual.grid_size[0]), int(visual.grid_size[1]))
    image_tower = Tower("image", visual, "visual", _blocks(visual, "image", "visual."), grid, patch)
    prefix = f"{text_path}." if text_path else ""
    text_tower = Tower("text", text, text_path, _blocks(text, "text", prefix), (0, 0), 0)
    return Anatomy(model, image_tower, text_tower)


def _blocks(tower: nn.Module, name: TowerName, prefix: str) -> tuple[Block, ...]:
    blocks = []
    for index, module in enumerate(tower.transformer.resblocks):  # type: ignore[union-attr, arg-type]
        if not isinstance(getattr(module, "attn", None), nn.MultiheadAttention):
            raise UnknownAnatomyError(
                f"expected nn.MultiheadAttention in block {index} of the {name} tower, got "
                f"{type(getattr(module, 'attn', None)).__name__}"
            )
        path = f"{prefix}transformer.resblocks.{index}"
        blocks.append(Block(name, index, path, module))
    return tuple(blocks)
