"""One view of a CLIP-like model: its towers, blocks, heads, and the q, k, v of any block.

The view computes with the model's own modules and parameters. Everything that the audit or an
explainer wants to know of the inside of a model is asked here, so that a new family of models is
added in one place, by the names of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.models.block_table import block_view, why_not
from audit.models.block_tower import BlockTower
from audit.models.tower import Tower, TowerNames, text_pooling
from audit.models.transformer_block import Block, TowerName

__all__ = [
    "Anatomy",
    "Block",
    "BlockTower",
    "KnownTower",
    "Tower",
    "TowerName",
    "TowerNames",
    "UnknownAnatomyError",
    "anatomy_of",
    "features_of_class_token",
    "normalized_image_features",
    "normalized_text_features",
    "reads_class_token",
]


KnownTower = Tower | BlockTower
"""A tower of open_clip's own kind, of which every part has a name, or one of any library."""


class UnknownAnatomyError(TypeError):
    """The model has no anatomy that this package knows."""


@dataclass(frozen=True)
class Anatomy:
    """The inside of a model under audit: its towers and its score.

    Attributes:
        model: the whole module.
        image: the image tower.
        text_tower: the text tower, None for a model whose targets are class ids, or whose text
            tower is not known.
        score_parameters: names of parameters that scale or shift the score and are in no tower.
    """

    model: nn.Module
    image: KnownTower
    text_tower: KnownTower | None
    score_parameters: tuple[str, ...] = ()

    @property
    def text(self) -> KnownTower:
        """The text tower.

        Raises:
            UnknownAnatomyError: the model has none.
        """
        if self.text_tower is None:
            raise UnknownAnatomyError(
                "expected a model with a text tower whose inside is known, got "
                f"{type(self.model).__name__}, which has none; choose a model of two towers such "
                "as ViT-B-16"
            )
        return self.text_tower

    def tower(self, name: TowerName) -> KnownTower:
        """A tower by name."""
        return self.image if name == "image" else self.text

    def tower_of(self, path: str) -> TowerName:
        """The tower that a parameter belongs to, by its dotted name."""
        return "image" if self.image.holds(path) else "text"

    def on(self, model: nn.Module) -> Anatomy:
        """The same of a copy of the model."""
        text = None if self.text_tower is None else self.text_tower.on(model)
        return replace(self, model=model, image=self.image.on(model), text_tower=text)

    def image_features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b e"]:
        """The features that scores are made of, by the model's own forward."""
        if isinstance(self.image, BlockTower):
            return self.image.features(images)
        return normalized_image_features(self.model, images)

    def text_features(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b e"]:
        """The features that scores are made of, by the model's own forward."""
        if isinstance(self.text_tower, BlockTower):
            return self.text_tower.features(tokens)
        return normalized_text_features(self.model, tokens)

    def scores(
        self, images: Float[Tensor, "b 3 H W"], tokens: Int[Tensor, "b t"]
    ) -> Float[Tensor, " b"]:
        """Cosine score of each pair, in [-1, 1]."""
        return (self.image_features(images) * self.text_features(tokens)).sum(-1)


def reads_class_token(tower: KnownTower) -> bool:
    """Whether the feature is made of the first token alone."""
    return isinstance(tower, Tower) or (
        tower.reading is not None and tower.reading.rows == slice(0, 1)
    )


def features_of_class_token(
    tower: KnownTower, tokens: Float[Tensor, "rows width"]
) -> Float[Tensor, "rows e"]:
    """The feature that the score is made of, from class tokens that leave the last block.

    Raises:
        ValueError: the tower reads no class token.
    """
    if isinstance(tower, Tower):
        return tower.score_features(tokens[:, None])
    if tower.reading is None or not reads_class_token(tower):
        raise ValueError(
            f"expected a tower that reads a class token behind '{tower.blocks[-1].path}', found "
            "one that reads its tokens in another way"
        )
    return tower.reading.of_rows(tokens[:, None])


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
            token. Its text tower is known where it is a transformer that pools the end-of-text
            token and masks every text alike.

    Raises:
        UnknownAnatomyError: for any other model; the message names the part that is not known.
    """
    visual = getattr(model, "visual", None)
    if visual is None or not hasattr(visual, "transformer") or not hasattr(visual, "conv1"):
        raise UnknownAnatomyError(
            "expected an open_clip model with a ViT image tower, such as ViT-B-16, got "
            f"{type(model).__name__}"
            + ("" if visual is None else f" with image tower {type(visual).__name__}")
        )
    if getattr(visual, "pool_type", None) != "tok" or getattr(visual, "attn_pool", None):
        raise UnknownAnatomyError(
            "expected class-token pooling in the image tower, got pooling "
            f"'{getattr(visual, 'pool_type', '?')}'; choose a model that pools at the class token"
        )
    patch = visual.conv1.kernel_size[0]
    grid = (int(visual.grid_size[0]), int(visual.grid_size[1]))
    image_tower = Tower(
        "image", visual, "visual", _blocks(visual, "image", "visual."), _IMAGE_NAMES, grid, patch
    )
    return Anatomy(model, image_tower, _text_tower(model), _SCORE_PARAMETERS)


def _text_tower(model: nn.Module) -> Tower | None:
    """The text tower, where it is a transformer whose mask is the same for every text."""
    text: Any = getattr(model, "text", model)
    path = "text" if hasattr(model, "text") else ""
    if not hasattr(text, "transformer") or not hasattr(text.transformer, "resblocks"):
        return None
    masks_each = getattr(text, "cls_emb", None) is not None or getattr(text, "use_pad_mask", False)
    if masks_each or text_pooling(text) not in ("argmax", "eos"):
        return None
    blocks = _blocks(text, "text", f"{path}." if path else "")
    return Tower("text", text, path, blocks, _TEXT_NAMES)


_IMAGE_NAMES = TowerNames(
    final_norm="ln_post", projection="proj", entry="conv1.weight", entered_by="convolution"
)
_TEXT_NAMES = TowerNames(
    final_norm="ln_final",
    projection="text_projection",
    entry="token_embedding.weight",
    entered_by="embedding",
)
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
