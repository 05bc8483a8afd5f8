"""What a sample of a given size can see, and what size sees a given effect."""

from __future__ import annotations

import math
from typing import Literal

from scipy import optimize, stats

EffectKind = Literal["mean", "proportion", "paired-proportion", "correlation", "auroc"]


def smallest_visible_effect(
    kind: EffectKind,
    n: int,
    *,
    spread: float = 1.0,
    base: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """The smallest effect that a two-sided test on n units finds with the given power.

    Args:
        kind: ``mean``, a mean (of differences) with standard deviation ``spread``; ``proportion``,
            the distance of a proportion from ``base``; ``paired-proportion``, the difference of
            two proportions on the same units, ``base`` being the share of units on which the two
            differ; ``correlation``, a Spearman correlation; ``auroc``, the distance of an area
            from one half, ``base`` being the share of units with a true label.
        n: independent units (pairs, pictures, rungs).
        spread: standard deviation, for ``mean``.
        base: see ``kind``.
        power: wanted power.
        alpha: two-sided error rate.

    Returns:
        The effect, infinite where n units cannot show any: one for a mean, four for a correlation,
        effects that would leave the range of a proportion.

    Source: Cohen (1988); for the correlation Fisher's z with the variance 1.06/(n - 3) of Fieller,
    Hartley and Pearson (1957); for the area Hanley and McNeil (1982). Normal approximations, for a
    mean with the quantiles of t: good to a few per cent from about ten units. statsmodels has the
    power of a mean (by the noncentral t, within 2 % of this from ten units) but none of the paired
    proportion, the rank correlation or the area, so that one approximation serves all five.
    """
    z = stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power)
    if kind == "mean":
        return _mean_effect(n, spread, power, alpha)
    if kind == "correlation":
        return math.tanh(z * math.sqrt(1.06 / (n - 3))) if n > 4 else math.inf
    if kind == "paired-proportion":
        effect = z * math.sqrt(base / n) if n > 0 else math.inf
        return effect if effect <= base else math.inf
    if kind == "proportion":
        return _proportion_effect(n, base, power, alpha)
    if kind == "auroc":
        right, wrong = base * n, (1 - base) * n
        effect = z * math.sqrt((n + 1) / (12 * right * wrong)) if right * wrong > 0 else math.inf
        return effect if effect <= 0.5 else math.inf
    raise ValueError(f"expected a kind of {EffectKind}, got '{kind}'")


def pairs_needed(
    effect: float,
    kind: EffectKind = "mean",
    *,
    spread: float = 1.0,
    base: float = 0.5,
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 10_000_000,
) -> int | None:
    """The smallest number of units on which an effect of this size is visible.

    The inverse of `smallest_visible_effect`, with its arguments. None where even ``most`` units are
    too few, as for an effect of zero.
    """

    def seen(n: int) -> bool:
        found = smallest_visible_effect(kind, n, spread=spread, base=base, power=power, alpha=alpha)
        return bool(found <= abs(effect))

    if not seen(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def visible_distance(low: float, high: float, level: float, power: float = 0.8) -> float:
    """Distance from a threshold that an interval of this width would have cleared.

    An estimate whose true value lies so far from the threshold clears it with its whole interval
    with the given power, by the normal approximation. Infinite where there is no interval.
    """
    if not math.isfinite(high - low):
        return math.inf
    half, edge = (high - low) / 2, float(stats.norm.ppf((1 + level) / 2))
    return half * (1 + float(stats.norm.ppf(power)) / edge)


def pairs_to_clear(
    value: float, low: float, high: float, level: float, threshold: float, pairs: int
) -> int | None:
    """Pairs that would settle an estimate of this size, its width shrinking with their root.

    None where there is no interval, or the estimate lies on the threshold.
    """
    distance, visible = abs(value - threshold), visible_distance(low, high, level)
    if distance == 0 or not math.isfinite(visible / distance):
        return None
    return max(math.ceil(pairs * (visible / distance) ** 2), pairs + 1)


def _mean_effect(n: int, spread: float, power: float, alpha: float) -> float:
    if n < 2:
        return math.inf
    quantiles = stats.t.ppf(1 - alpha / 2, n - 1) + stats.t.ppf(power, n - 1)
    return float(quantiles * spread / math.sqrt(n))


def _proportion_effect(n: int, base: float, power: float, alpha: float) -> float:
    """Distance that is seen from ``base`` toward one half, where there is more room."""
    if n < 1:
        return math.inf
    direction = 1 if base <= 0.5 else -1
    null = stats.norm.ppf(1 - alpha / 2) * math.sqrt(base * (1 - base))

    def lack(effect: float) -> float:
        p = base + direction * effect
        return float(null + stats.norm.ppf(power) * math.sqrt(p * (1 - p)) - effect * math.sqrt(n))

    room = 1 - base if direction > 0 else base
    return math.inf if lack(room) > 0 else float(optimize.brentq(lack, 0.0, room))
