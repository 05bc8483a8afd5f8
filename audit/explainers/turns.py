"""Pairs that share a picture: it runs forward once, its targets take turns in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.explainers.distinct import turns_of


def gradients_in_turns(
    scores: Float[Tensor, " pairs"],
    at: Sequence[Float[Tensor, "pictures ..."]],
    picture: Int[Tensor, " pairs"],
) -> Iterator[tuple[Bool[Tensor, " pairs"], tuple[Float[Tensor, "some ..."], ...]]]:
    """The gradient of each pair's score, by tensors that have one row a picture.

    Args:
        scores: of the pairs; the graph is freed after the last turn.
        at: what the scores are computed from; zeros stand where a score depends on none of it.
        picture: for each pair the row of its picture.

    Yields:
        Which pairs have their turn, and their rows of the gradients.
    """
    turns = turns_of(picture, len(at[0]))
    last = int(turns.max())
    for turn in range(last + 1):
        mine = turns == turn
        with torch.enable_grad():
            total = scores[mine].sum()
        slopes = torch.autograd.grad(
            total,
            at,
            retain_graph=turn < last,
            allow_unused=True,
            materialize_grads=True,
        )
        yield mine, tuple(slope[picture[mine]] for slope in slopes)


def one_pair_each(picture: Int[Tensor, " pairs"]) -> Bool[Tensor, " pairs"]:
    """Which pairs are the first of their picture."""
    return turns_of(picture, int(picture.max()) + 1) == 0
