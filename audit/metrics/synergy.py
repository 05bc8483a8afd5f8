"""Synergy of picture and text: what they add to the score together, beyond each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from audit.metrics.perturbation import enlarge

Features = Callable[[Tensor], Float[Tensor, "rows feature"]]
"""From pictures, or from token ids, to features whose product is the score."""
KEPT_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def synergy(
    pictures: Float[Tensor, "*n feature"],
    empty_picture: Float[Tensor, "*or_n feature"],
    texts: Float[Tensor, "*n feature"],
    empty_text: Float[Tensor, "*or_n feature"],
) -> Float[Tensor, "*n"]:
    """S(I, T) - S(I, 0) - S(0, T) + S(0, 0) of scores that are products of two features.

    With picture features v and text features t it is (v(I) - v(0)) . (t(T) - t(0)): no pass of a
    picture and a text together is needed, and it is 0 where either of the two is empty.

    Args:
        pictures: features of the pictures I.
        empty_picture: of a picture that shows nothing, one for all or one each.
        texts: features of the texts T.
        empty_text: of a text that says nothing, one for all or one each.

    Returns:
        In units of the score, signed; higher is better for a map that keeps what goes together.

    Range:
        [-4, 4] for cosines; unbounded for other products.
    Chance:
        none of its own: compare with the synergy of as many patches and tokens drawn at random.
    Pitfalls:
        what is empty decides: another empty picture or text gives another value.
    Source:
        arXiv 2605.22168 (2026), F_syn, in closed form.
    """
    return ((pictures - empty_picture) * (texts - empty_text)).sum(-1)


@dataclass(frozen=True)
class SynergyCurve:
    """Synergy of what is kept of a pair.

    Attributes:
        shares: of the patches and of the tokens that are kept.
        values: synergy at each share, (pairs, shares), 0 at share 0.
    """

    shares: tuple[float, ...]
    values: Float[Tensor, "pairs shares"]

    @property
    def area(self) -> Float[Tensor, " pairs"]:
        """Area under each curve by the trapezoid rule, from the first share to the last."""
        return torch.trapezoid(self.values, self.values.new_tensor(self.shares), dim=1)


def synergy_curve(
    features: Features,
    text_features: Features,
    images: Float[Tensor, "pairs 3 H W"],
    tokens: Int[Tensor, "pairs context"],
    maps: Float[Tensor, "pairs rows columns"],
    token_maps: Float[Tensor, "pairs context"],
    content: Bool[Tensor, "pairs context"],
    *,
    shares: Sequence[float] = KEPT_SHARES,
    padding: int = 0,
) -> SynergyCurve:
    """Synergy of the most relevant patches of a picture with the most relevant tokens of its text.

    At each share as many patches and as many tokens are kept, rounded; all others are the mean
    color (0 after preprocessing) or padding. One pass of either tower for each share.

    Args:
        features: of pictures.
        text_features: of texts.
        images: preprocessed pictures.
        tokens: token ids of the texts.
        maps: relevance of the patches, which divide the sides of the picture.
        token_maps: relevance of the tokens.
        content: the tokens that may be taken away: those between start and end.
        shares: in [0, 1], ascending.
        padding: what stands in the place of a token.

    Raises:
        ValueError: shares that do not ascend within [0, 1].
    """
    ordered = list(shares)
    if ordered != sorted(ordered) or not ordered or not 0 <= ordered[0] <= ordered[-1] <= 1:
        raise ValueError(f"expected ascending shares within [0, 1], got {ordered}")
    size = (images.shape[-2], images.shape[-1])

    def pair(share: float) -> tuple[Tensor, Tensor]:
        seen = most_relevant(
            maps.flatten(1), torch.ones_like(maps.flatten(1), dtype=torch.bool), share
        )
        shown = enlarge(seen.view(maps.shape), size)[:, None].to(images.dtype)
        told = most_relevant(token_maps, content, share) | ~content
        return features(images * shown), text_features(tokens.masked_fill(~told, padding))

    empty_picture, empty_text = pair(0.0)
    values = [synergy(v, empty_picture, t, empty_text) for v, t in map(pair, ordered)]
    return SynergyCurve(tuple(ordered), torch.stack(values, 1))


def most_relevant(
    relevance: Float[Tensor, "n places"], among: Bool[Tensor, "n places"], share: float
) -> Bool[Tensor, "n places"]:
    """The most relevant share of the places that count, rounded; earlier ones first where tied."""
    low = torch.where(among, relevance, -torch.inf)
    order = low.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    count = (share * among.sum(1, keepdim=True)).round()
    return (rank < count) & among
