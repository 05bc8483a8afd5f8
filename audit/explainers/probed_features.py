"""Features of many pictures made from a few, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

BATCH: Mapping[str, int] = {"cpu": 32}  # rows of a forward pass; larger ones leave the caches
ACCELERATOR_BATCH = 256


def batch_of(device: torch.device) -> int:
    """Rows of a forward pass on a device."""
    return BATCH.get(device.type, ACCELERATOR_BATCH)


def probes(
    pictures: int, number: int, device: torch.device
) -> Iterator[tuple[Int[Tensor, " rows"], Int[Tensor, " rows"]]]:
    """Which probe of which picture each row of a batch is, batch after batch.

    Args:
        pictures: how many there are.
        number: of probes of each picture.
        device: of the pictures.
    """
    jobs = torch.arange(pictures * number, device=device)
    for rows in jobs.split(batch_of(device)):
        yield rows // number, rows % number


def probed_features(
    features_of: Callable[[Tensor], Tensor],
    probe: Callable[[Tensor, Tensor], Tensor],
    pictures: int,
    number: int,
    device: torch.device,
) -> Float[Tensor, "pictures number feature"]:
    """The feature of each probe of each picture.

    Args:
        features_of: gives the features of rows that `probe` made.
        probe: makes them, given which picture and which probe each row is.
        pictures: how many there are.
        number: of probes of each picture.
        device: of the pictures.
    """
    found = [features_of(probe(*rows)) for rows in probes(pictures, number, device)]
    return torch.cat(found).reshape(pictures, number, -1)
