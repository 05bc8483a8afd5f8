"""Rules by which relevance passes backward through an operation: what goes in is what comes out.

Each takes what the operation was given and the relevance of what it gave, and returns the relevance
of what it was given. Norms and activations have no rule here: relevance passes them as it is.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SMALLEST = 1e-9


def shared(
    relevance: Float[Tensor, "*shape"], total: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Relevance for each unit of a total; none where the total is 0."""
    return torch.where(total == 0, 0, relevance / (total + SMALLEST))


def through_linear(
    x: Float[Tensor, "*rows inputs"],
    weight: Float[Tensor, "outputs inputs"],
    relevance: Float[Tensor, "*rows outputs"],
) -> Float[Tensor, "*rows inputs"]:
    """To the inputs by their positive shares of each output (alpha 1, beta 0), without the bias."""
    positive, negative = (
        (x.clamp_min(0), weight.clamp_min(0)),
        (x.clamp_max(0), weight.clamp_max(0)),
    )
    total = positive[0] @ positive[1].T + negative[0] @ negative[1].T
    each = shared(relevance, total)
    return positive[0] * (each @ positive[1]) + negative[0] * (each @ negative[1])


def through_sum(
    a: Float[Tensor, "pairs tokens width"],
    b: Float[Tensor, "pairs tokens width"],
    relevance: Float[Tensor, "pairs tokens width"],
) -> tuple[Float[Tensor, "pairs tokens width"], Float[Tensor, "pairs tokens width"]]:
    """To both summands by their shares, each then scaled so that all of a pair's adds up.

    The relevance of a pair is split between the two as the absolute sums of their shares are.
    """
    each = shared(relevance, a + b)
    parts = [summand * each for summand in (a, b)]
    sums = [part.sum((1, 2), keepdim=True) for part in parts]
    whole, all_of = sums[0].abs() + sums[1].abs(), relevance.sum((1, 2), keepdim=True)
    first, second = (
        part * shared(shared(own.abs(), whole) * all_of, own)
        for part, own in zip(parts, sums, strict=True)
    )
    return first, second


def through_product(
    a: Float[Tensor, "*n rows inner"],
    b: Float[Tensor, "*n inner columns"],
    relevance: Float[Tensor, "*n rows columns"],
) -> tuple[Float[Tensor, "*n rows inner"], Float[Tensor, "*n inner columns"]]:
    """To both factors of a matrix product, half to each."""
    each = shared(relevance, a @ b)
    return a * (each @ b.mT) / 2, b * (a.mT @ each) / 2
