"""Ranks and top shares of batched maps, with ties treated alike instead of by their place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sorted:
    """Rows in descending order, and where each value's group of ties begins and ends.

    Attributes:
        values: the sorted values.
        order: where each came from.
        first: index of the first member of the group of ties that a value belongs to.
        last: index of the last member.
    """

    values: Float[Tensor, "n p"]
    order: Int[Tensor, "n p"]
    first: Int[Tensor, "n p"]
    last: Int[Tensor, "n p"]


def sort_descending(rows: Float[Tensor, "n p"]) -> Sorted:
    """Sort each row, largest first, and mark its groups of equal values."""
    values, order = rows.sort(dim=-1, descending=True)
    places = torch.arange(rows.shape[-1], device=rows.device).expand_as(order)
    changes = values[:, 1:] != values[:, :-1]
    edge = changes.new_ones(len(rows), 1)
    starts, ends = torch.cat([edge, changes], -1), torch.cat([changes, edge], -1)
    first = torch.where(starts, places, 0).cummax(-1).values
    last = torch.where(ends, places, rows.shape[-1] - 1).flip(-1).cummin(-1).values.flip(-1)
    return Sorted(values, order, first, last)


def average_ranks(rows: Float[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    """Rank of each value in its row, 1 for the smallest; tied values share their mean rank."""
    s = sort_descending(rows)
    ranks = rows.shape[-1] - (s.first + s.last).to(rows.dtype) / 2
    return torch.empty_like(ranks).scatter_(-1, s.order, ranks)


def top_weights(rows: Float[Tensor, "n p"], count: Float[Tensor, " n"]) -> Float[Tensor, "n p"]:
    """How much of each value belongs to the largest ``count`` of its row, in [0, 1].

    Values at the border that are tied share what is left equally, as they would on average over
    random orders. ``count`` may be fractional. Each row sums to its ``count``.
    """
    place = (count.ceil().long() - 1).clamp(0, rows.shape[-1] - 1)
    border = rows.sort(dim=-1, descending=True).values.gather(-1, place[:, None])
    above, tied = rows > border, rows == border
    left = count - above.sum(-1)
    return above + tied * (left / tied.sum(-1))[:, None]
