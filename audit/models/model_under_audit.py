"""The model under audit, of whatever library: what every part of the audit may ask of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from audit.models.anatomy import Anatomy, UnknownAnatomyError
from audit.models.checkpoints import state_sha256
from audit.models.identity import architecture_sha256
from audit.models.module_interface import ScoreInterface


@runtime_checkable
class ModelInterface(ScoreInterface, Protocol):
    """How the models of one library are called; `audit.models.open_clip_source` has the first.

    What computes takes the module as an argument, since the audit asks the same of altered copies.
    A target is what a picture is scored for: the token ids of a text, or a class id.
    """

    @property
    def score_name(self) -> str:
        """What the score is called: ``cosine``, ``logit``, ``probability`` or other."""

    @property
    def uses_templates(self) -> bool:
        """Whether class names stand in prompts, rather than being targets by themselves."""

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""

    def preprocess_mask(self, mask: Image.Image) -> Float[Tensor, "1 H W"]:
        """A mask in the picture's own pixels, moved as the picture is."""

    def restore_colors(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
        """A preprocessed picture with its colors in [0, 1] again."""

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts ..."]:
        """Texts or class names as targets: (texts, context) token ids, or (texts,) class ids."""

    def logit_scale(self, module: nn.Module) -> float:
        """Factor from score to logit."""

    def logit_bias(self, module: nn.Module) -> float:
        """What is added to the scaled score to give the logit."""

    def image_size(self, module: nn.Module) -> int:
        """Side of the pictures that enter the module, in pixels."""

    def configuration(self) -> Mapping[str, object]:
        """What decides how inputs enter the model and is not in the module, as plain values."""

    def anatomy(self, module: nn.Module) -> Anatomy:
        """The view of the module's inside.

        Raises:
            UnknownAnatomyError: there is none; the message says why.
        """


@dataclass(frozen=True)
class ModelUnderAudit:
    """A model, and how pictures and targets enter it.

    Attributes:
        name: as asked for.
        pretrained: tag or file of weights, ``random``, or None for those that come with the name.
        module: the torch module that a user would call, in eval mode.
        interface: how models of its library are called.
        device: where the module is.
        dtype: of its parameters.
        notes: what a reader of the result should know of the weights, as sentences.
        tokenizer: folder of its tokenizer, where one was given.
        training_states: files of tensors that its own training passed through, earliest first;
            what one does not hold is as in the finished model.
        largest_batch: pairs that memory holds at a time, where that was found out; else None.
    """

    name: str
    pretrained: str | None
    module: nn.Module
    interface: ModelInterface
    device: torch.device
    dtype: torch.dtype
    notes: tuple[str, ...] = ()
    tokenizer: str | None = None
    training_states: tuple[str, ...] = ()
    largest_batch: int | None = None

    @property
    def score_name(self) -> str:
        """What its score is called: ``cosine``, ``logit``, ``probability`` or other."""
        return self.interface.score_name

    @property
    def uses_templates(self) -> bool:
        """Whether class names stand in prompts, rather than being targets by themselves."""
        return self.interface.uses_templates

    def with_module(self, module: nn.Module) -> ModelUnderAudit:
        """The same with another module in the place of its own, such as an altered copy."""
        return dataclasses.replace(self, module=module)

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""
        return self.interface.preprocess(picture)

    def preprocess_mask(self, mask: Image.Image) -> Float[Tensor, "1 H W"]:
        """A mask in the picture's own pixels, moved as the picture is."""
        return self.interface.preprocess_mask(mask)

    def restore_colors(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
        """A preprocessed picture with its colors in [0, 1] again."""
        return self.interface.restore_colors(image)

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts ..."]:
        """Texts or class names as targets: (texts, context) token ids, or (texts,) class ids."""
        return self.interface.encode(texts)

    def features(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b feature"]:
        """One feature a picture; its product with a target's feature is the score."""
        return self.interface.features(self.module, images)

    def target_features(self, targets: Int[Tensor, "b ..."]) -> Float[Tensor, "b feature"]:
        """One feature a target."""
        return self.interface.target_features(self.module, targets)

    def score(
        self, images: Float[Tensor, "pairs 3 H W"], targets: Int[Tensor, "pairs ..."]
    ) -> Float[Tensor, " pairs"]:
        """Score of each pair: of two towers the cosine, of a class head the logit."""
        return (self.features(images) * self.target_features(targets)).sum(-1)

    @property
    def logit_scale(self) -> float:
        """Factor from score to logit."""
        return self.interface.logit_scale(self.module)

    @property
    def logit_bias(self) -> float:
        """What is added to the scaled score to give the logit."""
        return self.interface.logit_bias(self.module)

    @property
    def image_size(self) -> int:
        """Side of the pictures that enter it, in pixels."""
        return self.interface.image_size(self.module)

    @property
    def patch_grid(self) -> tuple[int, int]:
        """Rows and columns of the grid on which maps are compared."""
        return self.interface.patch_grid(self.module)

    @property
    def anatomy(self) -> Anatomy | None:
        """The view of its inside, None where it is not known."""
        try:
            return self.require_anatomy()
        except UnknownAnatomyError:
            return None

    def require_anatomy(self) -> Anatomy:
        """The view of its inside.

        Raises:
            UnknownAnatomyError: it is not known; the message names the part that is not.
        """
        return self.interface.anatomy(self.module)

    @property
    def dtype_name(self) -> str:
        """The dtype as `load_model` takes it."""
        return str(self.dtype).removeprefix("torch.")

    def state_sha256(self) -> str:
        """Hash of all parameters and buffers, by name."""
        return state_sha256(self.module)

    def architecture_sha256(self) -> str:
        """Hash of what decides its output beside parameters and buffers."""
        return architecture_sha256(self.module, self.interface.configuration())
