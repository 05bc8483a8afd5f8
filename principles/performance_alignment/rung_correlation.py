"""The rank correlation over rungs that P201 judges, and what would settle it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from audit.evidence.kinds import Roles
from audit.result.finding import Verdict
from audit.result.wording import number
from audit.statistics.estimate import Estimate
from audit.statistics.ladder_trend import ladder_correlation
from audit.statistics.split_half import Measurement
from principles.finding_parts import interval_words
from principles.indifference import Zone
from principles.performance_alignment.estimates import others, resamples_for
from principles.performance_alignment.reliability import Reliability, over_rungs
from principles.performance_alignment.rung_quality import RungQuality

_CONSTANT = 1e-9
RESAMPLES = 2000


def settling(
    ours: Estimate, many: Estimate, threshold: float, pairs: int
) -> tuple[int | None, str]:
    """Pairs that would settle a correlation of the size seen, and a sentence where none would.

    Only the part of the interval's width that comes from pictures shrinks with their number.

    Args:
        ours: the correlation with its interval.
        many: the same with the interval that any number of pictures would leave.
        threshold: the end of the zone that has to be refuted.
        pairs: that there are.
    """
    side = 0 if ours.value > threshold else 1
    reach, left = ((abs(e.value - (e.low, e.high)[side])) for e in (ours, many))
    distance = abs(ours.value - threshold)
    if not math.isfinite(reach + left):
        return None, ""
    if left >= distance:
        return None, (
            f" However many pairs there are, so few rungs leave {number(many.low)} to "
            f"{number(many.high)}: more rungs are needed (--profile full, or --ladder)."
        )
    times = max(reach**2 - left**2, 0.0) / (distance**2 - left**2)
    needed = max(math.ceil(pairs * times), pairs + 1)
    return needed, f" About {needed:,} pairs would settle a correlation of the size seen."


def rung_correlation(
    measure: RungQuality, name: str, level: float, *, pictures: bool = True
) -> Estimate:
    """Of an explainer's maps; none at all for maps that are the same on every rung."""
    rows, families = measure.by_family()
    quality, below, rungs = measure.values[name], measure.below, len(measure.rungs)
    same = measure.name == "localization" and np.nanmax(np.ptp(quality, axis=0)) < _CONSTANT
    if same:  # the same maps on every rung
        return Estimate(0.0, 0.0, 0.0, level, rungs)
    estimate = ladder_correlation(
        quality[rows],
        measure.correct[rows].astype(float),
        picture=measure.picture,
        denominator=None if below is None else below[rows],
        families=families,
        within=True,
        draw_pictures=pictures,
        rng=np.random.default_rng(0),
        resamples=resamples_for(RESAMPLES, level),
        level=level,
    )
    return replace(estimate, n=rungs)


def rung_reliability(measure: RungQuality, roles: Roles, least: float) -> Reliability:
    """Do two halves of the pictures agree about the order of the rungs?"""
    rows, families = measure.by_family()
    below = None if measure.below is None else measure.below[rows].T
    names = others(roles, measure.values) or [roles.audited]
    tables = [Measurement(measure.values[name][rows].T, below) for name in names]
    return over_rungs(tables, measure.name, families, measure.picture, least)


def ladder_sentence(measure: str, ours: Estimate, zone: Zone, why: str) -> str:
    """What was found, or why nothing can be said, in a sentence."""
    if why:
        return f"By {measure} nothing can be said: {why}."
    found = zone.decide(ours)
    verb = {
        Verdict.PASS: "rises with accuracy over the ladder",
        Verdict.VIOLATION: "does not follow accuracy over the ladder",
    }.get(found, "may or may not follow accuracy over the ladder")
    correlation = f"rank correlation {interval_words(ours)}, n = {ours.n} rungs"
    return f"Map quality ({measure}) {verb}: {correlation}.{zone.faint_words(ours)}"
