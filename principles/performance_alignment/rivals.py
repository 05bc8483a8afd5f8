"""What the audited maps have over each of several rivals, all of which they have to beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audit.result.finding import Verdict
from audit.statistics.bootstrap import Draws
from audit.statistics.estimate import Estimate
from principles.finding_parts import interval_words
from principles.indifference import Zone, level_of
from principles.performance_alignment.estimates import resamples_for
from principles.performance_alignment.settling import settled_at


@dataclass(frozen=True)
class Lead:
    """A lead over each rival, estimated at two levels.

    To beat all of them is one claim of which every part has to hold, so that each may be tested at
    the whole error rate (intersection-union test, Berger 1982). That one of them is not beaten
    holds if it does for any: these tests share the rate (Bonferroni).

    Attributes:
        zone: of each lead.
        whole: by rival, at the whole error rate; not empty.
        shared: by rival, at the rate over their number.
    """

    zone: Zone
    whole: dict[str, Estimate]
    shared: dict[str, Estimate]

    @property
    def verdict(self) -> Verdict:
        """PASS if every rival is beaten, VIOLATION if one is not."""
        if all(self.zone.decide(e) is Verdict.PASS for e in self.whole.values()):
            return Verdict.PASS
        accusing = [self.zone.decide(e) is Verdict.VIOLATION for e in self.shared.values()]
        return Verdict.VIOLATION if any(accusing) else Verdict.INCONCLUSIVE

    @property
    def shown(self) -> dict[str, Estimate]:
        """By rival, at the level of the verdict; first the one that decides."""
        table = self.whole if self.verdict is Verdict.PASS else self.shared
        first = min(table, key=self._how_far)
        return {first: table[first]} | table

    def _how_far(self, rival: str) -> tuple[bool, float]:
        """The rival that is beaten least clearly, or that wins most clearly where one does."""
        verdict, whole, shared = self.verdict, self.whole[rival], self.shared[rival]
        if verdict is Verdict.PASS:
            return False, whole.low
        if verdict is Verdict.VIOLATION:
            return self.zone.decide(shared) is not Verdict.VIOLATION, shared.high
        return self.zone.decide(whole) is Verdict.PASS, whole.value


def lead_over(
    rivals: int, draw: Callable[[int], Mapping[str, Draws]], zone: Zone, rate: float, least: int
) -> Lead:
    """The lead over each rival.

    Args:
        rivals: how many there are, 1 or more.
        draw: the lead over each of them by name, in a number of resamples.
        zone: of each lead.
        rate: of each kind of wrong verdict.
        least: resamples; more where the level asks for them.
    """
    levels = level_of(rate), level_of(rate / rivals)
    drawn = draw(resamples_for(least, levels[1]))
    whole, shared = ({name: d.interval(level) for name, d in drawn.items()} for level in levels)
    return Lead(zone, whole, shared)


def why_no_control(faithful: Mapping[str, Lead], does: str) -> str:
    """Why a measure cannot speak, empty where a faithful control passes or there is none.

    Args:
        faithful: of each faithful control.
        does: what passing means, as in ``beats the model-free ones``.
    """
    if not faithful or any(one.verdict is Verdict.PASS for one in faithful.values()):
        return ""
    name, found = next(iter(faithful.items()))
    rival, lead = next(iter(found.shown.items()))
    return f"no faithful control {does} ({name} against {rival}: {interval_words(lead)})"


def why_not_believed(found: Lead, faithful: Mapping[str, Lead], does: str) -> str:
    """Why what was found of the audited maps does not count, empty where it does.

    What accuses has to be possible here: a faithful control passes. What passes has shown that
    itself, and is not believed only where every faithful control is refuted.

    Args:
        found: of the audited maps.
        faithful: of each faithful control.
        does: as in `why_no_control`.
    """
    refuted = all(one.verdict is Verdict.VIOLATION for one in faithful.values())
    if found.verdict is Verdict.PASS and not refuted:
        return ""
    return why_no_control(faithful, does)


def pairs_for(found: Lead, faithful: Mapping[str, Lead], pairs: int) -> float:
    """Pairs at which what is seen would be settled, with a faithful control that passes."""
    own: float = pairs
    if found.verdict is Verdict.INCONCLUSIVE:
        own = settled_at(next(iter(found.shown.values())), found.zone, pairs)
    if not why_no_control(faithful, ""):
        return own
    return max(own, min(_pairs_to_pass(one, pairs) for one in faithful.values()))


def _pairs_to_pass(found: Lead, pairs: int) -> float:
    return max(
        settled_at(one, found.zone, pairs) if one.value > found.zone.middle else math.inf
        for one in found.whole.values()
    )
