"""Maps that were drawn elsewhere and saved: found again by the exact picture and target."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.errors import ExplainerImportError
from audit.explainers.known_names import SAVED, no_saved_maps


class UnknownPairError(ValueError):
    """A picture and target of which no map was saved."""


def picture_hash(image: Float[Tensor, "3 H W"]) -> str:
    """Hash of a preprocessed picture: of its values in single precision, and its size."""
    values = np.ascontiguousarray(image.detach().float().cpu().numpy())
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()[:16]


def pair_key(picture: str, target: Tensor) -> str:
    """What a saved map is found by: the picture's hash, and that of the target's ids.

    A target is an id, or a row of token ids.
    """
    ids = np.ascontiguousarray(target.detach().cpu().numpy().astype(np.int64))
    return f"{picture}-{hashlib.sha256(ids.tobytes()).hexdigest()[:16]}"


class SavedMaps:
    """Saved maps of pictures and targets, as `audit pairs` lists them."""

    saved = True

    def __init__(self, file: str, maps: Mapping[str, Float[np.ndarray, "h w"]]) -> None:
        self.source_file = file
        self.maps = maps

    def __call__(
        self, model: nn.Module, images: Float[Tensor, "b 3 H W"], targets: Int[Tensor, "b ..."]
    ) -> Float[Tensor, "b h w"]:
        """The saved map of each pair.

        Raises:
            UnknownPairError: there is none of a pair.
        """
        del model
        keys = [
            pair_key(picture_hash(image), target)
            for image, target in zip(images, targets, strict=True)
        ]
        lacking = [key for key in keys if key not in self.maps]
        if lacking:
            raise UnknownPairError(
                f"expected a map of every pair in '{self.source_file}', found none of "
                f"{len(lacking)} of {len(keys)} pairs of a batch (first key '{lacking[0]}'); draw "
                "maps of what 'audit pairs' writes for the same model, data, grid, samples, seed "
                "and profile"
            )
        return torch.from_numpy(np.stack([self.maps[key] for key in keys]))


def saved_maps(file: str) -> SavedMaps:
    """The maps of a file of numpy: ``keys`` (pairs,) as `audit pairs` gives them, and ``maps``.

    Raises:
        ExplainerImportError: no such file, or it does not hold a map (h, w) for each key.
    """
    name, path = f"maps:{file}", Path(file)
    if not path.is_file():
        raise ExplainerImportError(no_saved_maps(file))
    try:
        with np.load(path, allow_pickle=False) as stored:
            keys, maps = stored["keys"], stored["maps"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ExplainerImportError(
            f"explainer '{name}': expected the arrays keys and maps, got {error}; save them by "
            f"{SAVED}"
        ) from error
    _expect_a_map_for_each(name, keys, maps)
    single = maps if maps.dtype == np.float64 else maps.astype(np.float32)
    return SavedMaps(file, dict(zip(map(str, keys), single, strict=True)))


def _expect_a_map_for_each(name: str, keys: Any, maps: Any) -> None:
    fits = keys.ndim == 1 and maps.ndim == 3 and len(keys) == len(maps)
    if not fits or maps.dtype.kind not in "fiu":
        raise ExplainerImportError(
            f"explainer '{name}': expected keys (pairs,) and maps (pairs, h, w) of numbers, got "
            f"{keys.shape} and {maps.shape} of {maps.dtype}; save them by {SAVED}"
        )
    named, times = np.unique(keys.astype(str), return_counts=True)
    if (times > 1).any():
        raise ExplainerImportError(
            f"explainer '{name}': expected each key once, found '{named[times.argmax()]}' "
            f"{times.max()} times; save one map for each of the keys that 'audit pairs' writes"
        )
