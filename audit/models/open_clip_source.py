"""Models of open_clip: by name with a tag or a file of weights, or from a folder."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import Compose
from torchvision.transforms.functional import InterpolationMode, to_tensor

from audit.models.anatomy import (
    Anatomy,
    anatomy_of,
    normalized_image_features,
    normalized_text_features,
)
from audit.models.checkpoints import UNREADABLE, lay_into, looks_like_file, read_state
from audit.models.errors import ModelError
from audit.nearest_name import hint

FOLDER = "local-dir:"
PACKAGE = "open_clip_torch"


@dataclass(frozen=True)
class OpenClipInterface:
    """How a model of open_clip is called: two towers, and the cosine of their features.

    Attributes:
        transform: from a PIL picture to the model's input.
        tokenizer: from texts to token ids, (texts, context).
    """

    transform: Compose
    tokenizer: Callable[[list[str]], Int[Tensor, "texts context"]]

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""
        return self.transform(picture)  # type: ignore[no-any-return]

    def preprocess_mask(self, mask: Image.Image) -> Float[Tensor, "1 H W"]:
        """A mask in the picture's own pixels, moved as the picture is, by nearest neighbor."""
        for step in self.transform.transforms:
            if type(step).__name__ in {"Normalize", "ToTensor"} or not hasattr(step, "size"):
                continue
            step_copy = copy.copy(step)
            if hasattr(step_copy, "interpolation"):
                step_copy.interpolation = InterpolationMode.NEAREST
            mask = step_copy(mask)
        return to_tensor(mask)  # type: ignore[no-any-return]

    def restore_colors(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
        """A preprocessed picture with its colors in [0, 1] again."""
        for step in self.transform.transforms:
            if type(step).__name__ == "Normalize":
                mean, std = (torch.tensor(v)[:, None, None] for v in (step.mean, step.std))
                return image * std + mean
        return image

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts context"]:
        """Texts as token ids."""
        return self.tokenizer(list(texts))

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

    def logit_scale(self, module: nn.Module) -> float:
        """Factor from cosine to logit."""
        scale: Any = getattr(module, "logit_scale", None)
        return 1.0 if scale is None else float(scale.detach().exp())

    def logit_bias(self, module: nn.Module) -> float:
        """What is added to the scaled cosine, 0 but for models trained with a sigmoid loss."""
        bias: Any = getattr(module, "logit_bias", None)
        return 0.0 if bias is None else float(bias.detach())

    def image_size(self, module: nn.Module) -> int:
        """Side of the pictures that enter the module, in pixels."""
        size: Any = module.visual.image_size  # type: ignore[union-attr]
        return int(size[0] if isinstance(size, tuple) else size)

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:
        """Rows and columns of the image tower's patches."""
        return anatomy_of(module).image.grid

    def anatomy(self, module: nn.Module) -> Anatomy:
        """The view of the module's inside; `UnknownAnatomyError` where it is not known."""
        return anatomy_of(module)


def known_models() -> dict[str, list[str]]:
    """Every architecture of open_clip with the tags of its weights."""
    return {name: open_clip.list_pretrained_tags_by_model(name) for name in open_clip.list_models()}


def load_open_clip(
    source: str, pretrained: str | None, seed: int
) -> tuple[nn.Module, OpenClipInterface]:
    """A model of open_clip on the CPU, and how it is called.

    Args:
        source: an open_clip architecture, or ``local-dir:FOLDER``.
        pretrained: an open_clip tag or a checkpoint file; None for random weights, or for those
            that lie in the folder.
        seed: of random weights.

    Raises:
        ModelError: unknown name or tag, missing file, unreadable weights.
        UnknownAnatomyError: the model is of a kind that is not known.
    """
    _check_source(source, pretrained)
    if pretrained is not None and source.startswith(FOLDER):  # open_clip would ignore the file
        module, transform = _create(source, None, seed)
        lay_into(module, read_state(pretrained), pretrained)
    else:
        module, transform = _create(source, pretrained, seed)
    anatomy_of(module)  # no check goes without one so far, and a tokenizer can be far away
    tokenizer = open_clip.get_tokenizer(source)
    return module, OpenClipInterface(transform, tokenizer)


def _create(source: str, pretrained: str | None, seed: int) -> tuple[nn.Module, Any]:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger().addFilter(_quiet)
        torch.manual_seed(seed)
        try:
            module, _, transform = open_clip.create_model_and_transforms(source, pretrained)
        except UNREADABLE as error:
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"cannot load model '{source}' with weights '{pretrained}': {cause}; give a file "
                "with --pretrained FILE, or a tag of open_clip that is in the local cache"
            ) from error
        finally:
            logging.getLogger().removeFilter(_quiet)
    return module, transform


def _quiet(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _check_source(source: str, pretrained: str | None) -> None:
    if source.startswith(FOLDER):
        folder = Path(source.removeprefix(FOLDER))
        if not (folder / "open_clip_config.json").is_file():
            raise ModelError(
                f"expected open_clip_config.json in the folder '{folder}', found none; give a "
                "folder that open_clip's push_to_hf_hub or save writes"
            )
        if pretrained is not None and not looks_like_file(pretrained):
            raise ModelError(
                f"expected a checkpoint file as the weights of a model in a folder, got the tag "
                f"'{pretrained}'; give a file, or leave --pretrained out to use the folder's own"
            )
        return
    names = open_clip.list_models()
    if source not in names:
        close = hint(source, [*names, "bundled"], cutoff=0.3)
        raise ModelError(
            f"unknown model '{source}'{close}; 'audit list models' shows all {len(names)}"
        )
    if pretrained is None:
        return
    tags = open_clip.list_pretrained_tags_by_model(source)
    if looks_like_file(pretrained) and not Path(pretrained).is_file():
        raise ModelError(f"no checkpoint file '{pretrained}'; give the path of an existing file")
    if not looks_like_file(pretrained) and pretrained not in tags:
        raise ModelError(
            f"unknown weights '{pretrained}' of '{source}'{hint(pretrained, tags, cutoff=0.3)}; "
            f"known tags: {', '.join(tags)}"
        )
