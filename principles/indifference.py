"""Decision with an indifference zone: how every statistical check of both principles judges.

A check states a quantity of which larger is better, a value *none* (no relation, which is refuted
to pass) and a value *clear* (the least that counts, which is refuted to accuse). So an explainer
without any relation passes, and one with a clear relation is accused, each at most at the error
rate; one threshold for both would leave whatever lies near it undecided, however many pairs there
are.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.result.finding import Verdict
from audit.result.wording import number
from audit.statistics.estimate import Estimate
from principles.limits import CheckLimits, ErrorRate, LimitError, Number

ERROR_RATE = 0.05


@dataclass(frozen=True)
class Zone:
    """The values between which a relation neither counts nor is missed.

    Attributes:
        none: no relation; an interval wholly above it refutes that there is none.
        clear: the least relation that counts, above ``none``.
    """

    none: float
    clear: float

    @property
    def middle(self) -> float:
        """On one side of which an estimate has to lie."""
        return (self.none + self.clear) / 2

    def decide(self, estimate: Estimate) -> Verdict:
        """PASS above ``none``, VIOLATION below ``clear``, each on its side of the middle."""
        if estimate.above(self.none) and estimate.value > self.middle:
            return Verdict.PASS
        if estimate.below(self.clear) and estimate.value < self.middle:
            return Verdict.VIOLATION
        return Verdict.INCONCLUSIVE

    def end(self, value: float) -> float:
        """The end of the zone that an estimate of this size has to refute."""
        return self.none if value > self.middle else self.clear

    def faint_words(self, estimate: Estimate) -> str:
        """Of a violation whose interval lies above ``none``: a sentence; else nothing."""
        if self.decide(estimate) is not Verdict.VIOLATION or not estimate.above(self.none):
            return ""
        return f" That is a relation, but less than counts: {number(self.clear)} is the least."


@dataclass(frozen=True)
class ZoneLimits(CheckLimits):
    """A zone, and the rate of each kind of wrong verdict."""

    none: Number = 0.0
    clear: Number = 1.0
    error_rate: ErrorRate = ERROR_RATE

    def __post_init__(self) -> None:
        """Refuse what means nothing.

        Raises:
            LimitError: a value out of its range, or no zone between the two.
        """
        super().__post_init__()
        if not self.none < self.clear:
            raise LimitError("clear", f"a number above none ({self.none:g})", f"{self.clear:g}")

    @property
    def zone(self) -> Zone:
        """Between the two."""
        return Zone(self.none, self.clear)


def level_of(rate: float) -> float:
    """Level of the two-sided interval of which each end is wrong at most at this rate."""
    return 1 - 2 * rate
