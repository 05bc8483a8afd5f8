"""Distinct rows of a batch, so that what pairs share is computed once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from audit.models.module_interface import ScoreInterface

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True)
class Distinct:
    """Which rows of a batch differ.

    Attributes:
        first: index of the first row of each kind, ascending, (distinct,).
        of: for each row its place in `first`, (rows,).
    """

    first: Int[Tensor, " distinct"]
    of: Int[Tensor, " rows"]


def row_bits(rows: Shaped[Tensor, "rows ..."]) -> Int[Tensor, "rows bits"]:
    """The rows' bytes as integers, whose comparison and hashing are exact."""
    flat = rows.detach().reshape(len(rows), -1).contiguous()
    return flat.view(_BITS[flat.element_size()])


def distinct_rows(rows: Shaped[Tensor, "rows ..."]) -> Distinct:
    """Find the rows that are equal bit by bit."""
    places = torch.arange(len(rows), device=rows.device)
    if len(rows) < 2:
        return Distinct(places, places)
    values, inverse = torch.unique(row_bits(rows), dim=0, return_inverse=True)
    first = torch.full_like(places[: len(values)], len(rows))
    first, order = first.scatter_reduce(0, inverse, places, "amin").sort()
    return Distinct(first, order.argsort()[inverse])


@torch.no_grad()
def target_features(
    interface: ScoreInterface, model: nn.Module, targets: Int[Tensor, "pairs ..."]
) -> Float[Tensor, "pairs feature"]:
    """The target's feature of each pair; each distinct target runs once through the model."""
    kinds = distinct_rows(targets)
    return interface.target_features(model, targets[kinds.first])[kinds.of]


def turns_of(picture: Int[Tensor, " pairs"], pictures: int) -> Int[Tensor, " pairs"]:
    """For each pair the number of pairs before it that have the same picture."""
    mine = functional.one_hot(picture, pictures)
    return (mine.cumsum(dim=0) * mine).sum(dim=1) - 1
