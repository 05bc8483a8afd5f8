"""What a caller hands in as data: tensors, pictures, or any dataset of torch, read as samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from audit.data.errors import DataError

Target = int | str | Tensor
_FORMS = (
    "expected (pictures, targets) or (pictures, targets, masks), or a dataset with len() whose "
    "items are (picture, target) or (picture, target, mask), or have the keys image, label and "
    "optionally mask"
)
_MOST = 10_000
"""Items that are taken at most of a stream, a dataset without a length."""
_KEYS = ("image", "label", "mask")


@runtime_checkable
class Rows(Protocol):
    """Anything with a length whose items are reached by number, such as a dataset of torch."""

    def __len__(self) -> int:
        """How many items there are."""

    def __getitem__(self, index: int, /) -> Any:
        """One item."""


@dataclass(frozen=True)
class Samples:
    """Some of the given data, in order, as they were given.

    Attributes:
        name: what the data is called in reports.
        ids: the number of each among all that was given, from 0.
        pictures: PIL pictures, or ready tensors (3, H, W) of floating point numbers.
        targets: class ids, labels, or rows of token ids.
        masks: (H, W) where the object is, in the pixels of the picture; None without.
        classes: names that the data itself has for class ids; None without.
    """

    name: str
    ids: tuple[str, ...]
    pictures: tuple[Any, ...]
    targets: tuple[Target, ...]
    masks: tuple[Any, ...] | None
    classes: tuple[str, ...] | None


def samples_of(data: object, count: int | None, *, seed: int = 0) -> Samples:
    """Read samples, drawn at random where there are more than wanted.

    Args:
        data: ``(pictures, targets)`` or ``(pictures, targets, masks)``, or a dataset of such items.
            Pictures are a tensor (pairs, 3, H, W) as it enters the model, or PIL pictures; targets
            are class ids, labels, or rows of token ids; masks (pairs, H, W) are true or above one
            half of their range where the object is.
        count: how many at most, None for all.
        seed: of the draw.

    Raises:
        DataError: it is something else, or nothing; the message says where.
    """
    rows, name = _rows(data)
    if not len(rows):
        raise DataError(f"data: {_FORMS}, got nothing in it")
    chosen = np.arange(len(rows))
    if count is not None and count < len(rows):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])
    items = [_item(rows[int(i)], int(i)) for i in chosen]
    masks = tuple(mask for _, _, mask in items)
    lacking = [int(chosen[i]) for i, mask in enumerate(masks) if mask is None]
    if lacking and len(lacking) < len(masks):
        raise DataError(
            f"data: expected a mask in every item or in none, found none in {lacking[0]}"
        )
    classes = getattr(data, "classes", None)
    return Samples(
        name=name,
        ids=tuple(str(int(i)) for i in chosen),
        pictures=tuple(picture for picture, _, _ in items),
        targets=tuple(target for _, target, _ in items),
        masks=None if lacking else masks,
        classes=tuple(map(str, classes)) if isinstance(classes, Sequence) else None,
    )


def first_given(data: object) -> tuple[Any, Target] | None:
    """The first picture and target of columns; None of a dataset, whose items are not read.

    Raises:
        DataError: as `samples_of`, as far as it can be told of these.
    """
    if isinstance(data, IterableDataset):
        return None
    rows, _ = _rows(data)
    if not isinstance(data, tuple):
        return None
    if not len(rows):
        raise DataError(f"data: {_FORMS}, got nothing in it")
    picture, target, _ = _item(rows[0], 0)
    return picture, target


def _rows(data: object) -> tuple[Rows, str]:
    """Items by number, and what they are called."""
    if isinstance(data, tuple):
        return _rows_of(data), "given tensors"
    name = type(data).__name__
    if isinstance(data, DataLoader):
        raise DataError(
            "data: expected single samples, got a DataLoader, which gives batches; give its "
            "dataset: data=loader.dataset"
        )
    if isinstance(data, IterableDataset):
        return list(islice(data, _MOST)), name
    if isinstance(data, Rows) and not isinstance(data, (Tensor, np.ndarray, str, Mapping)):
        return data, name
    raise DataError(f"data: {_FORMS}, got {name}")


def _rows_of(data: tuple[Any, ...]) -> Rows:
    """Columns as rows."""
    if len(data) not in (2, 3) or not all(isinstance(column, Rows) for column in data):
        kinds = ", ".join(type(column).__name__ for column in data)
        raise DataError(f"data: {_FORMS}, got a tuple of {kinds or 'nothing'}")
    shape = getattr(data[0], "shape", ())
    if len(shape) == 3:
        raise DataError(
            f"data: expected pictures of shape (pairs, 3, H, W), got {tuple(shape)}; of a single "
            "picture, pass images[None], and as many targets"
        )
    lengths = [len(column) for column in data]
    if len(set(lengths)) != 1:
        raise DataError(f"data: expected as many targets and masks as pictures, got {lengths}")
    return list(zip(*data, strict=True))


def _item(item: Any, index: int) -> tuple[Any, Target, Any]:
    """Picture, target and mask of an item."""
    found = tuple(item[k] for k in _KEYS if k in item) if isinstance(item, Mapping) else item
    if not isinstance(found, (tuple, list)) or len(found) not in (2, 3):
        raise DataError(f"data: {_FORMS}, got {type(item).__name__} as item {index}")
    picture, target, *mask = found
    return _picture(picture, index), _target(target, index), mask[0] if mask else None


def _picture(picture: Any, index: int) -> Any:
    if isinstance(picture, Image.Image):
        return picture
    tensor = torch.from_numpy(picture) if isinstance(picture, np.ndarray) else picture
    if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.ndim == 3:
        return tensor.detach().cpu()
    found = (
        f"{tuple(tensor.shape)} of {tensor.dtype}"
        if isinstance(tensor, Tensor)
        else type(picture).__name__
    )
    raise DataError(
        "data: expected each picture as PIL, or as floating point numbers (3, H, W) that are ready "
        f"for the model, got {found} as picture {index}"
    )


def _target(target: Any, index: int) -> Target:
    if isinstance(target, str):
        return target
    if isinstance(target, (int, np.integer)) and not isinstance(target, bool):
        return int(target)
    tensor = torch.from_numpy(target) if isinstance(target, np.ndarray) else target
    if isinstance(tensor, Tensor) and tensor.ndim < 2 and not tensor.is_floating_point():
        return tensor.detach().cpu() if tensor.ndim else int(tensor)
    raise DataError(
        "data: expected each target as a class id, a label or a row of token ids, got "
        f"{type(target).__name__} as target {index}"
    )
