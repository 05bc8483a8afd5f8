"""Whether a measure of quality repeats itself: the first thing asked of it in principle 2.

A measure whose two halves disagree carries no verdict, whatever its intervals. Reliability belongs
to the measure on these data, not to the audited explainer: rungs and classes are put in order by a
faithful control, since maps that do not change at all have no order to repeat, and that is what the
checks ask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import Roles
from audit.result.numbers import Statistic
from audit.result.wording import counted, number
from audit.statistics.correlation import lengthening, spearman_interval
from audit.statistics.split_half import FEWEST_UNITS, Measurement, split_half_reliability
from audit.trace.records import Array
from principles.finding_parts import finite
from principles.performance_alignment.estimates import Measure, judged, others

RELIABILITY = 0.8  # Nunnally (1978) asks this of basic research; Tomsett et al. (2020) of metrics
SPLITS = 500
HALVES, FILLS = "two halves of the pictures", "two fills"


@dataclass(frozen=True)
class Reliability:
    """Split-half reliability of a measure, stepped up by Spearman and Brown's formula.

    Attributes:
        value: at most 1, NaN where it cannot be told.
        least: below which the measure carries no verdict.
        measure: its name.
        what: about what they are to agree, as in ``the order of the rungs``.
        pictures: that were split.
        pairs: behind them.
        parts: whose agreement it is.
        unit: what was split, in one word: pictures, or sets of grids.
    """

    value: float
    least: float
    measure: str
    what: str
    pictures: int
    pairs: int
    parts: str = HALVES
    unit: str = "picture"

    @property
    def why(self) -> str:
        """Why the measure carries no verdict; empty where it does."""
        if self.value >= self.least:
            return ""
        if math.isnan(self.value):
            return (
                f"whether {self.parts} agree about {self.what} cannot be told from "
                f"{counted(self.pictures, self.unit)} (reliability unknown, {number(self.least)} "
                "is the least)"
            )
        needed = self.pairs_needed
        more = f"; about {needed:,.0f} pairs would reach that" if math.isfinite(needed) else ""
        return (
            f"{self.parts} do not agree enough about {self.what} (reliability "
            f"{number(self.value)}, {number(self.least)} is the least{more})"
        )

    @property
    def pairs_needed(self) -> float:
        """Pairs that would make it reliable: 0 where it is, infinite where no number would.

        Where it cannot be told for lack of pictures, the pairs of as many as it takes to tell.
        """
        if self.value >= self.least:
            return 0
        if self.parts == FILLS:  # more pairs do not make fills agree
            return math.inf
        if math.isnan(self.value) and 0 < self.pictures < FEWEST_UNITS:
            return math.ceil(self.pairs * FEWEST_UNITS / self.pictures)
        times = lengthening(self.value, self.least)
        return math.ceil(self.pairs * times) if math.isfinite(times) else math.inf

    @property
    def statistic(self) -> Statistic:
        """The number beside its threshold, for the report."""
        return Statistic(
            name=f"reliability of {self.measure} ({self.what})",
            value=finite(self.value),
            threshold=self.least,
            n=self.pictures,
        )


def over_explainers(
    measure: Measure, roles: Roles, picture: Array, least: float, unit: str = "picture"
) -> Reliability:
    """Do two halves of the pictures agree about the mean quality of the explainers?

    Correlated are the means themselves: explainers that are equally good have no order to repeat,
    and the checks compare means. Each half has a fill of its own where there are two.
    """
    names = judged(roles, measure.values)
    again = None
    if all(n in measure.again for n in names):
        again = Measurement(np.stack([measure.again[n] for n in names], 1))
    value, n = _split(
        Measurement(np.stack([measure.values[n] for n in names], 1)),
        picture,
        again=again,
        ranks=False,
    )
    halves = f"two halves of the {unit}s"
    parts = halves if again is None else f"{halves}, each with its own fill,"
    what = "how far the explainers lie apart"
    return Reliability(value, least, measure.name, what, n, len(picture), parts, unit)


def over_fills(measure: Measure, roles: Roles, picture: Array, least: float) -> Reliability | None:
    """Do two fills agree about which pairs have the better maps of a faithful control?

    Not stepped up, since a check takes the values of one fill. None where there is one fill.
    """
    names = [n for n in others(roles, measure.values) or [roles.audited] if n in measure.again]
    if not names:
        return None
    found = math.nan
    for name in names:
        one, two = measure.values[name], measure.again[name]
        known = np.isfinite(one) & np.isfinite(two)
        found = _larger(found, spearman_interval(one[known], two[known]).value)
    pictures = len(np.unique(picture))
    order = "the order of the pairs"
    return Reliability(found, least, measure.name, order, pictures, len(picture), FILLS)


def over_classes(measure: Measure, index: Array, picture: Array, name: str) -> float:
    """How far two halves of the pictures agree about which class has the better maps; or NaN.

    Args:
        measure: of the pairs.
        index: class of each pair.
        picture: of each.
        name: of the explainer.
    """
    column = index[:, None] == np.arange(index.max(initial=-1) + 1)
    again = None
    if name in measure.again:
        again = Measurement(np.where(column, measure.again[name][:, None], np.nan))
    table = Measurement(np.where(column, measure.values[name][:, None], np.nan))
    return _split(table, picture, again=again)[0]


def over_rungs(
    tables: Sequence[Measurement],
    measure: str,
    families: Sequence[str],
    picture: Array,
    least: float,
) -> Reliability:
    """Do two halves of the pictures agree about the order of the rungs, by some control's maps?

    Args:
        tables: one per faithful control, (pairs, rungs).
        measure: its name.
        families: of the rungs.
        picture: of the pairs.
        least: see `Reliability`.
    """
    found, n = math.nan, 0
    for table in tables:
        value, n = _split(table, picture, families=families)
        found = _larger(found, value)
    order = "the order of the rungs"
    return Reliability(found, least, measure, order, n, len(picture))


def _split(
    table: Measurement,
    picture: Array,
    *,
    again: Measurement | None = None,
    families: Sequence[str] | None = None,
    ranks: bool = True,
) -> tuple[float, int]:
    """The reliability, NaN where there are too few pictures or conditions; and the pictures."""
    known = np.isfinite(table.values).any(1)
    n = len(np.unique(picture[known]))
    try:
        found = split_half_reliability(
            table,
            again=again,
            clusters=picture,
            families=families,
            ranks=ranks,
            rng=np.random.default_rng(0),
            splits=SPLITS,
        )
    except ValueError:  # too few to be split
        return math.nan, n
    return found.value, n


def _larger(one: float, two: float) -> float:
    return float(np.fmax(one, two))
