"""How alike two saliency maps of a pair are, batched over pairs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.ranking import average_ranks, top_weights


def pearson(a: Float[Tensor, "n ..."], b: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """Linear correlation of each pair of maps; NaN where one is constant or has NaN.

    Range: [-1, 1], higher is more alike. Chance: 0. Pitfalls: one bright patch can decide it.
    Source: as `scipy.stats.pearsonr`.
    """
    x, y = _flat(a, b)
    constant = (x == x[:, :1]).all(-1) | (y == y[:, :1]).all(-1)
    x, y = _standard(x), _standard(y)
    return torch.where(constant, torch.nan, (x * y).sum(-1).clamp(-1, 1))


def spearman(a: Float[Tensor, "n ..."], b: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
    """Rank correlation of each pair of maps, tied values sharing their mean rank.

    Range: [-1, 1], higher is more alike. Chance: 0. NaN where a map is constant or holds a NaN.
    Pitfalls: patches that hardly matter outnumber those that do and dominate it; ties lower the
    reachable extremes only where the two maps' ties differ. Source: as `scipy.stats.spearmanr`.
    """
    x, y = _flat(a, b)
    undefined = x.isnan().any(-1) | y.isnan().any(-1)
    return torch.where(undefined, torch.nan, pearson(average_ranks(x), average_ranks(y)))


def relative_l2(
    reference: Float[Tensor, "n ..."], other: Float[Tensor, "n ..."]
) -> Float[Tensor, " n"]:
    """Length of the difference over the length of the reference; 0 where equal.

    Range: [0, ∞), lower is more alike. Chance: none; unrelated maps of one length and mean 0 give
    √2. Source: the relative error of numerical analysis.
    A reference that is zero everywhere gives 0 against itself and infinity against anything else.
    Pitfalls: not symmetric; sees scale and offset, which rank correlation does not.
    """
    x, y = _flat(reference, other)
    difference, length = (x - y).norm(dim=-1), x.norm(dim=-1)
    return torch.where(difference == 0, 0.0, difference / length)


def top_overlap(
    a: Float[Tensor, "n ..."], b: Float[Tensor, "n ..."], share: float = 0.1
) -> Float[Tensor, " n"]:
    """Intersection over union of the most relevant ``share`` of both maps' patches.

    Tied values at the border share the places that are left, so no order is preferred. Range: [0,
    1], higher is more alike. Chance: about share/(2 - share), 0.053 for a tenth. NaN where a map
    has NaN. Pitfalls: blind outside the top; two constant maps agree fully. Source: Jaccard (1912).
    """
    x, y = _flat(a, b)
    count = x.new_full((len(x),), share * x.shape[-1])
    top_x, top_y = top_weights(x, count), top_weights(y, count)
    overlap = torch.minimum(top_x, top_y).sum(-1) / torch.maximum(top_x, top_y).sum(-1)
    undefined = x.isnan().any(-1) | y.isnan().any(-1)
    return torch.where(undefined, torch.nan, overlap)


def _flat(
    a: Float[Tensor, "n ..."], b: Float[Tensor, "n ..."]
) -> tuple[Float[Tensor, "n p"], Float[Tensor, "n p"]]:
    if a.shape != b.shape:
        raise ValueError(
            f"expected two batches of maps of one shape, got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    return a.flatten(1), b.flatten(1)


def _standard(x: Float[Tensor, "n p"]) -> Float[Tensor, "n p"]:
    x = x / x.abs().amax(-1, keepdim=True)  # neither tiny nor huge maps lose their digits
    x = x - x.mean(-1, keepdim=True)
    length: Tensor = x.norm(dim=-1, keepdim=True)
    return x / length
