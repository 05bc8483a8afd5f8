"""Preprocessing of transformers: its own image processors, chosen from its list by a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image
from torch import Tensor

from audit.models.errors import ModelError
from audit.models.picture_transform import PictureTransform

_FAST = "Fast"  # the ending of names that older releases gave to what has none today


def pictures_of(
    transformers: Any, config: Mapping[str, Any] | None, settings: Any
) -> tuple[PictureTransform, tuple[str, ...]]:
    """How pictures enter a model, and what is to be told of it.

    Args:
        transformers: the library.
        config: of the image processor; None for what its class does by default, at the size of the
            model.
        settings: the configuration of the model.

    Raises:
        ModelError: the processor is not one of the library's, or gives no square pictures.
    """
    vision = getattr(settings, "vision_config", settings)
    by_kind = _of_kind(settings.model_type)
    if config is None:
        size = getattr(vision, "image_size", None)
        side = size[0] if isinstance(size, (list, tuple)) else size
        given: dict[str, Any] = {}
        if side and by_kind is not None:
            given = {"size": {"height": side, "width": side}, "crop_size": side}
        default = (
            "The folder says nothing of preprocessing: pictures enter the model as is the default "
            f"for models of kind '{settings.model_type}'."
        )
        told: tuple[str, ...] = (default,)
        name = by_kind
    else:
        name = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
        name = name.removesuffix(_FAST).replace("FeatureExtractor", "ImageProcessor") or by_kind
        given, told = dict(config), ()
    if name is None or name not in _known() or not hasattr(transformers, name):
        raise ModelError(
            f"image_processor_type: expected an image processor of the installed transformers, "
            f"found '{name}'"
        )
    processor = getattr(transformers, name)(**_options(given))
    transform = _Processed(processor)
    return PictureTransform.of(transform, f"{name} {_plain(processor)}"), told


class _Processed:
    """A picture as an image processor gives it."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, picture: Image.Image) -> Tensor:
        found: Tensor = self.processor(images=picture, return_tensors="pt")["pixel_values"][0]
        return found


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the processor takes: values, and nothing that names a class."""
    return {k: v for k, v in config.items() if not k.endswith(("_type", "_class", "auto_map"))}


def _plain(processor: Any) -> str:
    known = {k: v for k, v in processor.to_dict().items() if not k.startswith("_")}
    return repr(sorted(known.items()))


def _names() -> dict[str, Any]:
    from transformers.models.auto import image_processing_auto as listed

    table: Mapping[str, Any] = vars(listed)["IMAGE_PROCESSOR_MAPPING_NAMES"]
    return dict(table)


def _known() -> set[str]:
    return {name for value in _names().values() for name in _all(value)}


def _of_kind(model_type: str) -> str | None:
    """The image processor of a kind of models."""
    return next(iter(_all(_names().get(model_type))), None)


def _all(value: Any) -> list[str]:
    """Names of processors, the one on torch tensors first where releases list several."""
    if isinstance(value, Mapping):
        value = [value.get("torchvision"), value.get("pil")]
    elif isinstance(value, str):
        value = [value]
    return [name for name in value or () if isinstance(name, str)]
