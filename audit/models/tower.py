"""A transformer tower whose parts are known by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.models.transformer_block import Block, TowerName
from audit.models.value_flow import tensors_among


@dataclass(frozen=True)
class Entrance:
    """Where values enter a block.

    Attributes:
        block: its number.
        operation: below autograd, in which they meet a weight of it.
    """

    block: int
    operation: str


@dataclass(frozen=True)
class TowerNames:
    """Where a class of towers keeps what is no block, as dotted names within the tower.

    Attributes:
        final_norm: LayerNorm after the last block.
        projection: from the pooled token to the feature, a parameter or a linear layer.
        entry: the parameter that pixels or token ids meet first.
        entered_by: the operation, below autograd, in which they do.
    """

    final_norm: str
    projection: str
    entry: str
    entered_by: str


@dataclass(frozen=True)
class Tower:
    """A transformer tower of the model.

    Attributes:
        name: ``image`` or ``text``.
        module: the module whose forward is the tower; the whole model where the text tower is not
            a module of its own (open_clip's `CLIP`).
        path: its dotted name, empty for the whole model.
        blocks: its blocks in order.
        names: of its other parts.
        grid: patch rows and columns, (0, 0) for text.
        patch_size: side of a patch in pixels, 0 for text.
    """

    name: TowerName
    module: nn.Module
    path: str
    blocks: tuple[Block, ...]
    names: TowerNames
    grid: tuple[int, int] = (0, 0)
    patch_size: int = 0

    @property
    def heads(self) -> int:
        """Heads of the last block."""
        return self.blocks[-1].heads

    @property
    def width(self) -> int:
        """Width of the residual stream."""
        return self.blocks[-1].width

    @property
    def prefix(self) -> int:
        """Tokens before the patches: the class token, of text none."""
        return int(self.name == "image")

    @property
    def tokens(self) -> int:
        """How many tokens a picture becomes."""
        return self.prefix + self.grid[0] * self.grid[1]

    @property
    def projection(self) -> Any:
        """The projection to the feature: a parameter, a linear layer, or None."""
        return getattr(self.module, self.names.projection, None)

    @property
    def projection_weights(self) -> tuple[str, ...]:
        """Dotted names of what the pooled token is multiplied by."""
        path = self.path_to(self.names.projection)
        projection = self.projection
        linear = isinstance(projection, nn.Linear)
        return () if projection is None else (f"{path}.weight" if linear else path,)

    @property
    def whole(self) -> str | None:
        """Dotted name of the module whose call is the tower, None where there is none."""
        return self.path or None

    @property
    def entry_weights(self) -> Mapping[str, str]:
        """Dotted names of the parameters that meet the input, and the operation."""
        return {self.path_to(self.names.entry): self.names.entered_by}

    @property
    def entrances(self) -> Mapping[str, Entrance]:
        """By the weight that it meets, which block a value enters; their number at the end."""
        paths = [b.path_to(b.names.attention_norm, "weight") for b in self.blocks]
        paths.append(self.path_to(self.names.final_norm, "weight"))
        return {path: Entrance(i, "native_layer_norm") for i, path in enumerate(paths)}

    @property
    def entry(self) -> nn.Module:
        """The module that pixels or token ids enter."""
        return self.module.get_submodule(self.names.entry.rpartition(".")[0])

    @property
    def final_norm(self) -> nn.Module:
        """The LayerNorm after the last block."""
        return self.module.get_submodule(self.names.final_norm)

    def holds(self, path: str) -> bool:
        """Whether a parameter, by its dotted name, is one of the tower's."""
        return not self.path or path.startswith(f"{self.path}.")

    def on(self, model: nn.Module) -> Tower:
        """The same tower of a copy of the model."""
        blocks = tuple(replace(b, module=model.get_submodule(b.path)) for b in self.blocks)
        return replace(self, module=model.get_submodule(self.path), blocks=blocks)

    @property
    def head_counts(self) -> frozenset[int]:
        """How many heads its blocks have."""
        return frozenset(block.heads for block in self.blocks)

    def heads_of(self, index: int) -> int:
        """Heads of a block."""
        return self.blocks[index].heads

    def attends(self, index: int) -> bool:
        """Whether the attention of a step is known: that of every block is."""
        return index < len(self.blocks)

    def words(self, index: int) -> str:
        """A block in words; the number of blocks stands for what follows the last one."""
        return f"block {index}" if index < len(self.blocks) else "the final norm"

    def features(self, inputs: Tensor) -> Float[Tensor, "b e"]:
        """The feature (not normalized), by the tower's own module or its parts."""
        if self.path:
            return next(tensors_among(self.module(inputs)))
        x = self.run(self.embed(inputs), 0, len(self.blocks))
        rows = torch.arange(len(x), device=x.device)
        return self.readout(x[rows, self.pooled_index(inputs)])

    def path_to(self, *names: str) -> str:
        """Dotted name in the model of a part, by one or more names from the tower inwards."""
        return ".".join((self.path, *names) if self.path else names)

    def embed(self, inputs: Tensor) -> Float[Tensor, "b t d"]:
        """Tokens that enter the first block: of pictures (b, 3, H, W) or of token ids (b, t)."""
        tower = self.module
        if self.name == "image":
            return tower._embeds(inputs)  # type: ignore[operator, no-any-return]  # noqa: SLF001
        dtype = self.blocks[0].module.get_weight_dtype()  # type: ignore[operator]
        x = tower.token_embedding(inputs).to(dtype)  # type: ignore[operator]
        return x + tower.positional_embedding[: inputs.shape[1]].to(dtype)  # type: ignore[index, no-any-return]

    def embed_patches(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b patches d"]:
        """Patch embeddings of pictures of any size, without class token and positions."""
        patches: Tensor = self.module.conv1(images)  # type: ignore[operator]
        return patches.flatten(2).transpose(1, 2)

    @property
    def class_token(self) -> Float[Tensor, " d"]:
        """The embedding of the image tower's class token, without its position."""
        return self.module.class_embedding  # type: ignore[return-value]

    @property
    def positions(self) -> Float[Tensor, "t d"]:
        """Position embeddings of the image tower: the class token's, then those of the patches."""
        return self.module.positional_embedding  # type: ignore[return-value]

    def normalize_embedded(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        """The image tower's LayerNorm between the embedded tokens and the first block."""
        return self.module.ln_pre(x)  # type: ignore[operator, no-any-return]

    def mask(self, length: int) -> Float[Tensor, "t t"] | None:
        """The additive attention mask that the tower uses, or None."""
        mask = getattr(self.module, "attn_mask", None) if self.name == "text" else None
        return None if mask is None else mask[:length, :length]

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
        """Index of the token that is pooled: the class token, or the end-of-text token."""
        if self.name == "image":
            return torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)
        end = end_of_text(self.module)
        return inputs.argmax(dim=-1) if end is None else (inputs == end).int().argmax(dim=-1)

    def readout(self, pooled: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        """From the pooled token after the last block to the feature (not normalized)."""
        feature: Tensor = self.final_norm(pooled)
        projection = self.projection
        if isinstance(projection, nn.Linear):
            feature = projection(feature)
        elif projection is not None:
            feature = feature @ projection
        return feature

    def score_features(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b e"]:
        """The image tower's normalized feature, given what the last block gives."""
        return functional.normalize(self.readout(x[:, 0]), dim=-1)


def text_pooling(module: nn.Module) -> str:
    """Which token a text tower of open_clip pools."""
    return str(getattr(module, "pool_type", getattr(module, "text_pool_type", "argmax")))


def end_of_text(module: nn.Module) -> int | None:
    """The id whose first place is pooled; None where it is the largest id of a text."""
    if text_pooling(module) != "eos":
        return None
    return int(getattr(module, "eos_id", getattr(module, "text_eos_id", 0)))
