"""Looking at data several times at one error rate: how much of it each look may spend."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def spent_shares(fractions: Sequence[float]) -> list[float]:
    """Part of the error rate that each look may spend, so that all looks together spend it once.

    The spending function ln(1 + (e - 1) t) of Lan and DeMets (1983), which spends early much as
    Pocock's boundary does. Each look is judged at its own increment, without credit for the
    correlation of looks; by the union bound the error rate then holds for any statistic.

    Args:
        fractions: pairs at each look over the pairs at the last one, rising to 1.

    Returns:
        One share per look; they sum to one.

    Raises:
        ValueError: where fractions do not rise from above 0 to 1.
    """
    rising = all(a < b for a, b in itertools.pairwise([0.0, *fractions]))
    if not fractions or not rising or not math.isclose(fractions[-1], 1.0):
        raise ValueError(f"expected fractions that rise from above 0 to 1, got {list(fractions)}")
    spent = [0.0, *(math.log1p((math.e - 1) * min(t, 1.0)) for t in fractions)]
    return [b - a for a, b in itertools.pairwise(spent)]


def look_sizes(budget: int, first: int = 48) -> list[int]:
    """Pairs at each look: doubled until the budget, whose last look it is.

    A look within a fifth of the budget is left to the last one.
    """
    sizes = []
    size = min(first, budget)
    while size <= 0.8 * budget:
        sizes.append(size)
        size *= 2
    return [*sizes, budget]
