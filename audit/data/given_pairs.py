"""Pairs from what a caller hands in, see `audit.data.given_samples`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from audit.data.errors import DataError
from audit.data.given_samples import Samples
from audit.data.pairs import ModelInputs, Pairs

_WHITE = 255


def pairs_of_samples(
    samples: Samples, model: ModelInputs, names: tuple[str, ...] | None, template: str
) -> Pairs:
    """Samples as pairs of a model.

    Args:
        samples: pictures and targets.
        model: preprocesses pictures and prompts.
        names: of all classes of a class head, None of a model that compares with texts.
        template: prompt of a label, with one ``{}``.

    Raises:
        DataError: pictures of several sizes, a class id that the model does not have, or masks that
            do not fit their pictures.
    """
    prepared = [_prepared(picture, model) for picture in samples.pictures]
    sizes = {tuple(image.shape) for image in prepared}
    if len(sizes) > 1:
        raise DataError(f"data: expected pictures of one size, got {sorted(sizes)}")
    images, picture = _distinct(prepared)
    classes, targets, labels, prompt = _classes(samples, model, names, template)
    present = torch.zeros(len(images), len(classes), dtype=torch.bool)
    present[picture, labels] = True
    return Pairs(
        name=samples.name,
        ids=samples.ids,
        images=torch.stack(images),
        picture=picture,
        labels=labels,
        present=present,
        masks=_masks(samples, model, prepared[0]),
        classes=classes,
        templates=(prompt,),
        targets=targets,
    )


def _prepared(picture: Any, model: ModelInputs) -> Tensor:
    return model.preprocess(picture) if isinstance(picture, Image.Image) else picture


def _distinct(tensors: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Each tensor once, and the number of each: pairs of one picture belong together."""
    first: dict[bytes, int] = {}
    kept: list[Tensor] = []
    index: list[int] = []
    for tensor in tensors:
        key = hashlib.sha256(np.ascontiguousarray(tensor.numpy()).tobytes()).digest()
        if key not in first:
            first[key] = len(kept)
            kept.append(tensor)
        index.append(first[key])
    return kept, torch.tensor(index)


def _classes(
    samples: Samples, model: ModelInputs, names: tuple[str, ...] | None, template: str
) -> tuple[tuple[str, ...], Tensor, Tensor, str]:
    """Names and targets of all classes, the class of each sample, and the prompt of a name."""
    kinds = {type(target) for target in samples.targets}
    if len(kinds) > 1:
        listed = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"data: expected targets of one kind, got {listed}")
    if Tensor in kinds:
        return _of_tokens(samples)
    if str not in kinds and names is None and samples.classes is None:
        raise DataError(
            "data: expected labels or rows of token ids for a model that compares pictures with "
            "texts, got class ids and no names of the classes; give the names in place of the ids"
        )
    if str not in kinds and names is None:
        samples = _named(samples)
    if names is None:
        return _of_labels(samples, model, template)
    labels = (
        model.encode([str(target) for target in samples.targets])
        if str in kinds
        else torch.tensor([int(target) for target in samples.targets])
    )
    wrong = ((labels < 0) | (labels >= len(names))).nonzero()
    if len(wrong):
        at = int(wrong[0])
        raise DataError(
            f"data: expected class ids from 0 to {len(names) - 1}, got {int(labels[at])} in sample "
            f"{samples.ids[at]}"
        )
    return names, torch.arange(len(names)), labels, "{}"


def _named(samples: Samples) -> Samples:
    """Class ids as the names that the data has for them."""
    known = samples.classes or ()
    wrong = [t for t in samples.targets if not 0 <= int(t) < len(known)]
    if wrong:
        raise DataError(f"data: expected class ids from 0 to {len(known) - 1}, got {wrong[0]}")
    labels = tuple(known[int(target)] for target in samples.targets)
    return replace(samples, targets=labels)


def _of_labels(
    samples: Samples, model: ModelInputs, template: str
) -> tuple[tuple[str, ...], Tensor, Tensor, str]:
    own = [str(target) for target in samples.targets]
    named = tuple(dict.fromkeys([*(samples.classes or ()), *sorted(set(own))]))
    prompt = template if model.uses_templates else "{}"
    targets = model.encode([prompt.format(name) for name in named])
    rows, index = _distinct(list(targets))
    number = dict(zip(named, index.tolist(), strict=True))
    kept = tuple(named[index.tolist().index(i)] for i in range(len(rows)))
    return kept, torch.stack(rows), torch.tensor([number[label] for label in own]), prompt


def _of_tokens(samples: Samples) -> tuple[tuple[str, ...], Tensor, Tensor, str]:
    given = [target for target in samples.targets if isinstance(target, Tensor)]
    if len({len(row) for row in given}) > 1:
        raise DataError("data: expected rows of token ids of one length, padded")
    rows, index = _distinct(given)
    names = samples.classes if samples.classes and len(samples.classes) == len(rows) else None
    return names or tuple(f"text {i}" for i in range(len(rows))), torch.stack(rows), index, "{}"


def _masks(samples: Samples, model: ModelInputs, like: Tensor) -> Tensor | None:
    if samples.masks is None:
        return None
    moved = [
        _mask(mask, picture, model, samples.ids[i])
        for i, (mask, picture) in enumerate(zip(samples.masks, samples.pictures, strict=True))
    ]
    wrong = [i for i, mask in enumerate(moved) if mask.shape != like.shape[1:]]
    if wrong:
        raise DataError(
            f"data: expected masks of {tuple(like.shape[1:])} pixels, as the pictures, got "
            f"{tuple(moved[wrong[0]].shape)} in sample {samples.ids[wrong[0]]}"
        )
    return torch.stack(moved)


def _mask(mask: Any, picture: Any, model: ModelInputs, sample: str) -> Tensor:
    values = np.asarray(mask.cpu() if isinstance(mask, Tensor) else mask)
    values = values[0] if values.ndim == 3 and len(values) == 1 else values
    if values.ndim != 2:
        raise DataError(f"data: expected a mask (H, W), got {values.shape} in sample {sample}")
    inside = values > (values.max() / 2 if values.dtype != np.bool_ else 0)
    if not isinstance(picture, Image.Image):
        return torch.from_numpy(inside)
    if inside.shape != (picture.height, picture.width):
        raise DataError(
            f"data: expected a mask of the picture's own {picture.height}×{picture.width} pixels, "
            f"got {inside.shape[0]}×{inside.shape[1]} in sample {sample}"
        )
    drawn = Image.fromarray((inside * _WHITE).astype(np.uint8))
    return model.preprocess_mask(drawn)[0] > 0.5
