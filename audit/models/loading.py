"""Loading the model under audit; the only file that reads weights."""

from __future__ import annotations

import copy
import difflib
import logging
import warnings
from collections.abc import Callable
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

from audit.models import bundled
from audit.models.anatomy import Anatomy, UnknownAnatomyError, anatomy_of
from audit.models.checkpoints import expect_finite, looks_like_file, state_sha256
from audit.models.errors import ModelError
from audit.models.folder_config import read_config, weights_of
from audit.models.network import REMEDY, expect_weights_at_hand, network
from audit.models.open_clip_weights import load_weights
from audit.models.tokenizers import build_tokenizer

BUNDLED = "bundled"
FOLDER = "local-dir:"
RANDOM = "random"


@dataclass(frozen=True)
class ModelUnderAudit:
    """A model, and how pictures and texts enter it.

    Attributes:
        name: as asked for.
        pretrained: tag or file of weights, ``random``, or None for those that come with the name.
        module: the torch module, in eval mode.
        transform: from a PIL picture to the model's input.
        tokenizer: from texts to token ids, (texts, context).
        device: where the module is.
        dtype: of its parameters.
        notes: what a reader of the result should know of the weights, as sentences.
    """

    name: str
    pretrained: str | None
    module: nn.Module
    transform: Compose
    tokenizer: Callable[[list[str]], Int[Tensor, "texts context"]]
    device: torch.device
    dtype: torch.dtype
    notes: tuple[str, ...] = ()

    @property
    def anatomy(self) -> Anatomy:
        """The view of its inside."""
        return anatomy_of(self.module)

    @property
    def dtype_name(self) -> str:
        """The dtype as `load_model` takes it."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def image_size(self) -> int:
        """Side of the pictures that enter it, in pixels."""
        size = self.module.visual.image_size  # type: ignore[union-attr]
        return int(size[0] if isinstance(size, tuple) else size)  # type: ignore[arg-type]

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        """A picture as the model receives it."""
        return self.transform(picture)  # type: ignore[no-any-return]

    def encode(self, texts: list[str]) -> Int[Tensor, "texts context"]:
        """Texts as targets: their token ids."""
        return self.tokenizer(texts)

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

    def state_sha256(self) -> str:
        """Hash of all parameters and buffers, by name."""
        return state_sha256(self.module)


def load_model(
    name: str = BUNDLED,
    pretrained: str | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    seed: int = 0,
    allow_download: bool = False,
) -> ModelUnderAudit:
    """Load a model.

    Args:
        name: ``bundled``, an open_clip architecture, or ``local-dir:FOLDER``.
        pretrained: an open_clip tag, a checkpoint file, or ``random``; None for the weights that
            lie in the folder.
        device: torch device.
        dtype: ``float32``, ``float64``, ``float16`` or ``bfloat16``.
        seed: of random weights.
        allow_download: fetch weights and tokenizer where they are not on this machine.

    Raises:
        ModelError: unknown name or tag, missing file, unreadable weights, unavailable device.
        UnknownAnatomyError: the model is of a kind that is not known.
    """
    torch_device, torch_dtype = _device(device), _dtype(dtype)
    source = f"{FOLDER}{bundled.DIRECTORY}" if name == BUNDLED else name
    folder = Path(source.removeprefix(FOLDER)) if source.startswith(FOLDER) else None
    if folder is None:
        _check_architecture(source, pretrained, allow_download=allow_download)
        config = open_clip.get_model_config(source)
    else:
        _check_weights(folder, pretrained)
        config = read_config(folder)
    with network(allowed=allow_download):
        tokenizer = build_tokenizer(name, config["text_cfg"], folder, allow_download=allow_download)
        module, transform, notes = _create(source, folder, pretrained, seed)
    module = module.eval().to(device=torch_device, dtype=torch_dtype)
    expect_finite(module.state_dict(), f"{pretrained or name} in {dtype}")
    anatomy_of(module)
    return ModelUnderAudit(
        name, pretrained, module, transform, tokenizer, torch_device, torch_dtype, notes
    )


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
        notes = (f"The weights of the model are random (seed {seed}), as asked for.",)
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
        close = difflib.get_close_matches(source, [*names, BUNDLED], n=1, cutoff=0.3)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ModelError(
            f"unknown model '{source}'{hint} 'audit list models' shows all {len(names)}"
        )
    tags = open_clip.list_pretrained_tags_by_model(source)
    if pretrained is None:
        raise ModelError(
            f"'{source}' is an architecture without weights; state them with --pretrained: "
            f"{', '.join([*tags, 'a checkpoint file'])}, or random"
        )
    if pretrained == RANDOM:
        return
    if looks_like_file(pretrained):
        if not Path(pretrained).is_file():
            raise ModelError(
                f"no checkpoint file '{pretrained}'; give the path of an existing file"
            )
        return
    if pretrained not in tags:
        close = difflib.get_close_matches(pretrained, tags, n=1, cutoff=0.3)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise ModelError(
            f"unknown weights '{pretrained}' of '{source}'{hint} Known tags: {', '.join(tags)}"
        )
    expect_weights_at_hand(source, pretrained, allow_download=allow_download)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"unknown device '{name}'; expected cpu, cuda, cuda:1, …") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("device 'cuda' asked for, but torch finds no GPU; use --device cpu")
    return device


def _dtype(name: str) -> torch.dtype:
    known = {
        "float32": torch.float32,
        "float64": torch.float64,
        "float16": torch.float16,
        "bfloat16": torch.bfloat16,
    }
    if name not in known:
        raise ModelError(f"unknown dtype '{name}'; expected one of {', '.join(known)}")
    return known[name]


__all__ = ["BUNDLED", "ModelError", "ModelUnderAudit", "UnknownAnatomyError", "load_model"]
