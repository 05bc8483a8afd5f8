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
    normalized_image_features,
    normalized_text_features,
)
from audit.models.errors import ModelError
from audit.models.folder_config import read_config, read_json, weights_of
from audit.models.known_anatomy import known_anatomy
from audit.models.network import REMEDY, expect_weights_at_hand, file_of_hub, network
from audit.models.open_clip_weights import activation_notes, load_weights
from audit.models.patch_grids import grid_of
from audit.models.random_tokens import RandomTokens
from audit.models.tokenizers import Tokenizer, TokenizerMissingError, build_tokenizer
from audit.models.wanted import RANDOM, Wanted, looks_like_file, random_weights_note
from audit.models.written_models import no_weights, unknown_architecture, unknown_tag

FOLDER = "local-dir:"
PACKAGE = "open_clip_torch"


@dataclass(frozen=True)
class OpenClipInterface:
    """How a model of open_clip is called: two towers, and the cosine of their features.

    Attributes:
        transform: from a PIL picture to the model's input.
        tokenizer: from texts to token ids, (texts, context).
        score_name: what the product of the features is.
        uses_templates: class names stand in prompts.
    """

    transform: Compose
    tokenizer: Callable[[list[str]], Int[Tensor, "texts context"]]
    score_name: str = "cosine"
    uses_templates: bool = True

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
        return int(size[0] if isinstance(size, (tuple, list)) else size)

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:
        """Rows and columns of the grid on which maps are compared."""
        return grid_of(self, module)

    def configuration(self) -> dict[str, object]:
        """Transform and tokenizer, as far as they differ between models."""
        tokens = self.tokenizer(["a", "a photo of a dog."])
        return {"transform": repr(self.transform), "tokens": tokens.tolist()}

    def anatomy(self, module: nn.Module) -> Anatomy:
        """The view of the module's inside; `UnknownAnatomyError` where it is not known."""
        return known_anatomy(self, module)


def known_models() -> dict[str, list[str]]:
    """Every architecture of open_clip with the tags of its weights."""
    return {name: open_clip.list_pretrained_tags_by_model(name) for name in open_clip.list_models()}


def load_open_clip(
    source: str, pretrained: str | None, wanted: Wanted
) -> tuple[nn.Module, OpenClipInterface, tuple[str, ...]]:
    """A model of open_clip on the CPU, how it is called, and what is to be told of its weights.

    Args:
        source: an open_clip architecture, or ``local-dir:FOLDER``.
        pretrained: an open_clip tag, a checkpoint file, or ``random``; None for the weights that
            lie in the folder.
        wanted: seed of random weights, tokenizer, and whether anything may be downloaded.

    Raises:
        ModelError: unknown name or tag, missing file, unreadable weights or configuration.
    """
    allow_download = wanted.allow_download
    folder = Path(source.removeprefix(FOLDER)) if source.startswith(FOLDER) else None
    if folder is None:
        _check_architecture(source, pretrained, allow_download=allow_download)
        config = open_clip.get_model_config(source)
    else:
        _check_weights(folder, pretrained)
        config = read_config(folder)
    with network(allowed=allow_download):
        text = _text_section(source, config["text_cfg"], allow_download=allow_download)
        tokenizer, told = _tokenizer(source, text, folder, pretrained, wanted)
        module, transform, notes = _create(source, folder, pretrained, wanted.seed)
    return module, OpenClipInterface(transform, tokenizer), (*notes, *told)


def _text_section(source: str, text: dict[str, Any], *, allow_download: bool) -> dict[str, Any]:
    """The section ``text_cfg``, with the vocabulary of a text tower that is of a hub.

    Raises:
        ModelError: the configuration of such a tower is not at hand.
    """
    tower = text.get("hf_model_name")
    if not tower:
        return text
    file = file_of_hub(str(tower), "config.json", allow_download=allow_download)
    if file is None:
        raise ModelError(
            f"model '{source}' has the text tower '{tower}' of a hub, whose configuration is not "
            f"in the local cache; {REMEDY}"
        )
    vocabulary = read_json(file).get("vocab_size")
    return {**text, "vocab_size": vocabulary} if isinstance(vocabulary, int) else text


def _tokenizer(
    source: str,
    text: dict[str, Any],
    folder: Path | None,
    pretrained: str | None,
    wanted: Wanted,
) -> tuple[Tokenizer, tuple[str, ...]]:
    """The tokenizer; random token rows, which are told, where random weights have none at hand."""
    try:
        found = build_tokenizer(
            source,
            text,
            folder,
            allow_download=wanted.allow_download,
            tokenizer=wanted.tokenizer,
        )
    except TokenizerMissingError:
        if pretrained != RANDOM:
            raise
        vocabulary = int(text.get("vocab_size", RandomTokens.VOCABULARY))
        context = int(text.get("context_length", RandomTokens.CONTEXT))
        rows = RandomTokens(context, vocabulary, wanted.seed)
        return rows, (rows.note(str(text.get("hf_tokenizer_name") or source)),)
    return found, ()


def _create(
    source: str, folder: Path | None, pretrained: str | None, seed: int
) -> tuple[nn.Module, Any, tuple[str, ...]]:
    """A model with its weights, its transform, and what is to be told of the weights."""
    file = pretrained if pretrained and looks_like_file(pretrained) else None
    if folder is not None and pretrained is None:
        file = str(weights_of(folder))
    random = pretrained == RANDOM
    tag = None if random or file else pretrained
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger().addFilter(_quiet)
        torch.manual_seed(seed)
        try:
            module, _, transform = open_clip.create_model_and_transforms(
                source, tag, load_weights=tag is not None, pretrained_text=False
            )
            notes = load_weights(module, file) if file else ()
        except ModelError:
            raise
        except Exception as error:  # a configuration may break open_clip anywhere
            cause = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"cannot load model '{source}' with weights '{pretrained}': {cause}; give a file "
                f"with --pretrained FILE, a tag that is in the local cache, or {REMEDY}"
            ) from error
        finally:
            logging.getLogger().removeFilter(_quiet)
    if random:
        notes = (random_weights_note(seed),)
    elif tag is not None:
        notes = activation_notes(source, tag)
    return module, transform, notes


def _quiet(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _check_weights(folder: Path, pretrained: str | None) -> None:
    """A folder's weights are there: its own, those of a file, or random ones, as asked for."""
    if pretrained is None:
        if folder.is_dir() and any(folder.iterdir()) and weights_of(folder) is None:
            raise ModelError(
                f"expected weights in the folder '{folder}' (*.safetensors, *.bin or *.pth), found "
                "none; put them there, or give --pretrained FILE, or --pretrained random"
            )
    elif pretrained != RANDOM and not looks_like_file(pretrained):
        raise ModelError(
            f"expected a checkpoint file as the weights of a model in a folder, got the tag "
            f"'{pretrained}'; give a file, or leave --pretrained out to use the folder's own"
        )


def _check_architecture(source: str, pretrained: str | None, *, allow_download: bool) -> None:
    """An architecture of open_clip is known, and so are its weights."""
    names = open_clip.list_models()
    if source not in names:
        raise ModelError(unknown_architecture(source, names))
    tags = open_clip.list_pretrained_tags_by_model(source)
    if pretrained is None:
        raise ModelError(no_weights(source, tags))
    if pretrained == RANDOM:
        return
    if looks_like_file(pretrained):
        if not Path(pretrained).is_file():
            raise ModelError(
                f"no checkpoint file '{pretrained}'; give the path of an existing file"
            )
        return
    if pretrained not in tags:
        raise ModelError(unknown_tag(source, pretrained, tags))
    expect_weights_at_hand(source, pretrained, allow_download=allow_download)
