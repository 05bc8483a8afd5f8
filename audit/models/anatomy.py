"""One view of a CLIP-like model: its towers, blocks, heads, and the q, k, v of any block.

The view computes with the model's own modules and parameters. Everything that the audit or an
explainer wants to know of the inside of a model is asked here, so that a new family of models is
added in one place, by the names of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.models.block_table import block_view, why_not
from audit.models.transformer_block import Block, TowerName

__all__ = [
    "Anatomy",
    "Block",
    "Tower",
    "TowerName",
    "TowerNames",
    "UnknownAnatomyError",
    "anatomy_of",
    "normalized_image_features",
    "normalized_text_features",
]


class UnknownAnatomyError(TypeError):
    """The model has no anatomy that this package knows."""


@dataclass(frozen=True)
class TowerNames:
    """Where a class of towers keeps what is no block, as dotted names within the tower.

    Attributes:
        final_norm: LayerNorm after the last block.
        projection: from the pooled token to the feature, a parameter or a linear layer.
    """

    final_norm: str
    projection: str


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
    def projection(self) -> Any:
        """The projection to the feature: a parameter, a linear layer, or None."""
        return getattr(self.module, self.names.projection, None)

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
        feature: Tensor = self.module.get_submodule(self.names.final_norm)(pooled)
        projection = self.projection
        if isinstance(projection, nn.Linear):
            feature = projection(feature)
        elif projection is not None:
            feature = feature @ projection
        return feature


@dataclass(frozen=True)
class Anatomy:
    """The inside of a model under audit: its towers and its score.

    Attributes:
        model: the whole module.
        image: the image tower.
        text_tower: the text tower, None for a model whose targets are class ids.
        score_parameters: names of parameters that scale or shift the score and are in no tower.
    """

    model: nn.Module
    image: Tower
    text_tower: Tower | None
    score_parameters: tuple[str, ...] = ()

    @property
    def text(self) -> Tower:
        """The text tower.

        Raises:
            UnknownAnatomyError: the model has none.
        """
        if self.text_tower is None:
            raise UnknownAnatomyError(
                f"expected a model with a text tower, got {type(self.model).__name__}, which has "
                "none; choose a model of two towers such as ViT-B-16"
            )
        return self.text_tower

    def tower(self, name: TowerName) -> Tower:
        """A tower by name."""
        return self.image if name == "image" else self.text

    def tower_of(self, path: str) -> TowerName:
        """The tower that a parameter belongs to, by its dotted name."""
        return "image" if path.startswith(f"{self.image.path}.") else "text"

    def image_features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b e"]:
        """Normalized image features, by the model's own forward."""
        return normalized_image_features(self.model, images)

    def text_features(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b e"]:
        """Normalized text features, by the model's own forward."""
        return normalized_text_features(self.model, tokens)

    def scores(
        self, images: Float[Tensor, "b 3 H W"], tokens: Int[Tensor, "b t"]
    ) -> Float[Tensor, " b"]:
        """Cosine score of each pair, in [-1, 1]."""
        return (self.image_features(images) * self.text_features(tokens)).sum(-1)


def normalized_image_features(
    model: nn.Module, images: Float[Tensor, "b 3 H W"]
) -> Float[Tensor, "b e"]:
    """Normalized image features of an open_clip model, by its own forward."""
    return model.encode_image(images, normalize=True)  # type: ignore[operator, no-any-return]


def normalized_text_features(model: nn.Module, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b e"]:
    """Normalized text features of an open_clip model, by its own forward."""
    return model.encode_text(tokens, normalize=True)  # type: ignore[operator, no-any-return]


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
    image_tower = Tower(
        "image", visual, "visual", _blocks(visual, "image", "visual."), _IMAGE_NAMES, grid, patch
    )
    prefix = f"{text_path}." if text_path else ""
    text_tower = Tower("text", text, text_path, _blocks(text, "text", prefix), _TEXT_NAMES)
    return Anatomy(model, image_tower, text_tower, _SCORE_PARAMETERS)


_IMAGE_NAMES = TowerNames(final_norm="ln_post", projection="proj")
_TEXT_NAMES = TowerNames(final_norm="ln_final", projection="text_projection")
_SCORE_PARAMETERS = ("logit_scale", "logit_bias")


def _blocks(tower: nn.Module, name: TowerName, prefix: str) -> tuple[Block, ...]:
    blocks = []
    for index, module in enumerate(tower.transformer.resblocks):  # type: ignore[union-attr, arg-type]
        if not isinstance(getattr(module, "attn", None), nn.MultiheadAttention):
            raise UnknownAnatomyError(
                f"expected nn.MultiheadAttention in block {index} of the {name} tower, got "
                f"{type(getattr(module, 'attn', None)).__name__}"
            )
        path = f"{prefix}transformer.resblocks.{index}"
        block = block_view(module, name, index, path)
        if block is None:
            raise UnknownAnatomyError(why_not(module))
        blocks.append(block)
    return tuple(blocks)
