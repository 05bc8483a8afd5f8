"""Looking at data several times at one error rate: at which level each look is judged."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

_POINTS = 401
_FAR = 8.0  # standard deviations below zero, beyond which there is nothing


def spent(fraction: float) -> float:
    """Part of the error rate that may be spent until a fraction of the pairs is there.

    The power family of Kim and DeMets (1987) at exponent 1.5: large effects are seen early, and the
    last look is judged at 0.6 of the rate, so that a budget sees what a fixed sample of 0.93 of its
    pairs sees. Pocock's boundary stops a twentieth earlier, and sees what 0.85 of them see.
    """
    return float(fraction**1.5)


def levels(
    fractions: Sequence[float], rate: float, spending: Callable[[float], float] = spent
) -> tuple[float, ...]:
    """One-sided level of the test at each look, so that all looks together err at ``rate``.

    The boundary of Lan and DeMets (1983) for a statistic whose increments are independent, as of a
    mean of more and more pairs, by the recursive integration of Armitage, McPherson and Rowe
    (1969). What two looks share more than pairs, such as the rungs of a ladder, only makes wrong
    verdicts rarer: they then come at the same looks. Whoever stops for the other verdict crosses
    this boundary less often still.

    Args:
        fractions: pairs at each look over the pairs at the last one, rising to 1.
        rate: chance of the verdict at any look where it is wrong.
        spending: part of it that may be spent until a fraction of the pairs is there.

    Raises:
        ValueError: where fractions do not rise from above 0 to 1.
    """
    rising = all(a < b for a, b in itertools.pairwise([0.0, *fractions]))
    if not fractions or not rising or not math.isclose(fractions[-1], 1.0):
        raise ValueError(f"expected fractions that rise from above 0 to 1, got {list(fractions)}")
    return _levels(tuple(fractions), rate, spending) if len(fractions) > 1 else (rate,)


def look_sizes(budget: int, first: int = 48) -> list[int]:
    """Pairs at each look: half as many again and doubled in turn, until the budget.

    A look within a fifth of the budget is left to the last one.
    """
    sizes, doubled = [], min(first, budget)
    while doubled <= 0.8 * budget:
        sizes += [n for n in (doubled, doubled * 17 // 12) if n <= 0.8 * budget]
        doubled *= 2
    return [*sizes, budget]


@functools.lru_cache(maxsize=256)
def _levels(
    fractions: tuple[float, ...], rate: float, spending: Callable[[float], float]
) -> tuple[float, ...]:
    """By the density of a Brownian motion that has crossed no boundary yet, look by look."""
    found = []
    density, before = (np.zeros(1), np.ones(1)), 0.0
    for now in fractions:
        spread, spends = math.sqrt(now - before), rate * (spending(now) - spending(before))
        edge = _edge(density, spread, spends)
        found.append(float(stats.norm.sf(edge / math.sqrt(now))))
        density, before = _below(density, spread, edge, math.sqrt(now)), now
    return tuple(found)


_Density = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]  # points, their weights


def _edge(density: _Density, spread: float, spends: float) -> float:
    """What a step of this spread exceeds with the chance to be spent."""
    points, weights = density

    def excess(edge: float) -> float:
        return float(weights @ stats.norm.sf((edge - points) / spread)) - spends

    return float(optimize.brentq(excess, -40.0, 40.0))


def _below(density: _Density, spread: float, edge: float, now: float) -> _Density:
    """The density after a step, of what has not crossed the edge; trapezoidal rule."""
    points, weights = density
    grid = np.linspace(min(-_FAR * now, edge - now), edge, _POINTS)
    after = stats.norm.pdf((grid[:, None] - points) / spread) @ weights / spread
    after[[0, -1]] /= 2
    return grid, after * (grid[1] - grid[0])
