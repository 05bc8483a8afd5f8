"""How a bare module is called, told by its structure where nobody says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.models.anatomy import (
    UnknownAnatomyError,
    anatomy_of,
    normalized_image_features,
    normalized_text_features,
)
from audit.models.class_head import logits_of

GRID_IF_UNKNOWN = (7, 7)
"""Of the last activation of most convolutional networks on pictures of 224 pixels."""


@runtime_checkable
class FeatureInterface(Protocol):
    """What gives the score of a pair."""

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b feature"]:
        """One feature a picture; its product with a target's feature is the score."""

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, "b ..."]
    ) -> Float[Tensor, "b feature"]:
        """One feature a target."""


@runtime_checkable
class ScoreInterface(FeatureInterface, Protocol):
    """What of a `ModelInterface` gives the score of a pair, and the grid of its map."""

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:
        """Rows and columns of the grid on which maps are compared."""


@dataclass(frozen=True)
class EncodingTowers:
    """Two towers as open_clip calls them; the score is the cosine of their features."""

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b feature"]:
        """Normalized image features."""
        return normalized_image_features(module, images)

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, "b context"]
    ) -> Float[Tensor, "b feature"]:
        """Normalized text features."""
        return normalized_text_features(module, targets)

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:
        """The image tower's patches where they are known."""
        try:
            return anatomy_of(module).image.grid
        except UnknownAnatomyError:
            return GRID_IF_UNKNOWN


@dataclass(frozen=True)
class Logits:
    """A class head whose output, or its ``.logits``, are (pairs, classes) logits."""

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b classes"]:
        """The logits of all classes."""
        return logits_of(module(images))

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, " b"]
    ) -> Float[Tensor, "b classes"]:
        """Selects the logit of the class: one-hot rows.

        Raises:
            ValueError: the size of the class head cannot be told from the module.
        """
        head = [p for p in module.parameters() if p.ndim == 2]
        if not head:
            raise ValueError(
                "expected a class head with a weight (classes, width), found none in "
                f"{type(module).__name__}; load the model by its name, so that its classes are "
                "known"
            )
        return functional.one_hot(targets, len(head[-1])).to(head[-1].dtype)

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:  # noqa: ARG002 - the same for all
        """A grid that suits most networks."""
        return GRID_IF_UNKNOWN


def interface_of(module: nn.Module) -> ScoreInterface:
    """How a module is called: as two towers where it encodes pictures and texts, else as a head."""
    towers = all(callable(getattr(module, n, None)) for n in ("encode_image", "encode_text"))
    return EncodingTowers() if towers else Logits()
