"""Does a saliency map find the patches that matter, where something matters?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from audit.metrics.ranking import top_weights

SHARES = (0.05, 0.1, 0.2, 0.3)
LEAST_EFFECT = 1e-6


def effect_captured(
    relevance: Float[Tensor, "n w"],
    effects: Float[Tensor, "n w"],
    shares: Sequence[float] = SHARES,
    least: float = LEAST_EFFECT,
) -> Float[Tensor, " n"]:
    """Share of the effect that the most relevant windows capture, from worst over random to best.

    For a share k of the windows C_k(order) is the sum of the effects of its first k, and the value
    is the mean over k of (C_k(map) - C_k(random)) / (C_k(best) - C_k(random)), where the random
    order captures k of the whole effect on average and the best order is that of the effects. A map
    that does worse than random is measured against the worst order in the same way, with a minus.
    Tied windows share the places that are left.

    Range: [-1, 1], higher is better. Chance: 0; below 0 the map prefers windows that matter less
    than others, or that count against the text. NaN where the effects of all windows are equal up
    to ``least`` a window, so that nothing can be found. Pitfalls: the order among windows that
    hardly matter does not count, on purpose: rank correlation over all of them has almost no
    ceiling. Source: ours; the gain over a random order is that of cumulative gains charts.

    Args:
        relevance: of each window.
        effects: drop of the score when the window is removed; may be negative.
        shares: shares k of the windows.
        least: smallest effect that is more than rounding.
    """
    if relevance.shape != effects.shape:
        raise ValueError(
            f"expected one relevance per window, got {tuple(relevance.shape)} for effects "
            f"{tuple(effects.shape)}"
        )
    gains = []
    for share in shares:
        count = effects.new_full((len(effects),), share * effects.shape[1])
        random = share * effects.sum(1)
        captured = (top_weights(relevance, count) * effects).sum(1) - random
        best = (top_weights(effects, count) * effects).sum(1) - random
        worst = random - (top_weights(-effects, count) * effects).sum(1)
        scale = torch.where(captured < 0, worst, best)
        gains.append(torch.where(best > least * count, captured / scale, torch.nan))
    return torch.stack(gains).mean(0)
