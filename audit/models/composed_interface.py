"""The interface of any model, put together of how pictures enter it and what its targets are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from audit.models.anatomy import Anatomy
from audit.models.known_anatomy import known_anatomy
from audit.models.module_interface import FeatureInterface
from audit.models.patch_grids import grid_of
from audit.models.picture_transform import PictureTransform


@runtime_checkable
class Targets(FeatureInterface, Protocol):
    """What a model scores pictures for, and how; `audit.models.class_head` has class ids."""

    @property
    def score_name(self) -> str:
        """What the score is called."""

    @property
    def uses_templates(self) -> bool:
        """Whether class names stand in prompts."""

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts ..."]:
        """Texts or class names as targets."""

    def logit_scale(self, module: nn.Module) -> float:
        """Factor from score to logit."""

    def logit_bias(self, module: nn.Module) -> float:
        """What is added to the scaled score to give the logit."""

    def configuration(self) -> Mapping[str, object]:
        """What decides how targets enter the model and is not in the module."""


@dataclass(frozen=True)
class ComposedInterface:
    """How a model is called, as `audit.models.model_under_audit` asks it.

    Attributes:
        pictures: how they enter the model.
        targets: what they are scored for.
        move_mask: moves a mask as the picture is, None where ``pictures`` can.
    """

    pictures: PictureTransform
    targets: Targets
    move_mask: Callable[[Image.Image], Tensor] | None = None

    @property
    def score_name(self) -> str:
        """What the score is called."""
        return self.targets.score_name

    @property
    def uses_templates(self) -> bool:
        """Whether class names stand in prompts."""
        return self.targets.uses_templates

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""
        return self.pictures(picture)

    def preprocess_mask(self, mask: Image.Image) -> Float[Tensor, "1 H W"]:
        """A mask in the picture's own pixels, moved as the picture is."""
        return self.pictures.mask(mask) if self.move_mask is None else self.move_mask(mask)

    def restore_colors(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
        """A preprocessed picture with its colors in [0, 1] again."""
        return self.pictures.colors(image)

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts ..."]:
        """Texts or class names as targets."""
        return self.targets.encode(texts)

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b feature"]:
        """One feature a picture; its product with a target's feature is the score."""
        return self.targets.features(module, images)

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, "b ..."]
    ) -> Float[Tensor, "b feature"]:
        """One feature a target."""
        return self.targets.target_features(module, targets)

    def logit_scale(self, module: nn.Module) -> float:
        """Factor from score to logit."""
        return self.targets.logit_scale(module)

    def logit_bias(self, module: nn.Module) -> float:
        """What is added to the scaled score to give the logit."""
        return self.targets.logit_bias(module)

    def image_size(self, module: nn.Module) -> int:  # noqa: ARG002 - of the transform
        """Side of the pictures that enter the module, in pixels."""
        return self.pictures.size

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:
        """Rows and columns of the grid on which maps are compared."""
        return grid_of(self, module)

    def configuration(self) -> dict[str, object]:
        """Transform and targets, as far as they differ between models."""
        return {"transform": self.pictures.described, **self.targets.configuration()}

    def anatomy(self, module: nn.Module) -> Anatomy:
        """The view of the module's inside; `UnknownAnatomyError` where it is not known."""
        return known_anatomy(self, module)
