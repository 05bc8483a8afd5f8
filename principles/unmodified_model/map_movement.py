"""Whether function-preserving edits moved the maps, edit by edit: P106."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from audit.evidence.kinds import EditedMaps, Reparametrization
from audit.result.finding import Verdict
from audit.result.wording import counted, number, percent
from audit.trace.records import Array
from principles.finding_parts import listed

SIZELESS = ("key-bias", "value-bias", "relu-scaling", "batch-norm-scaling")
MOVED, STAYED, UNPROVEN, NUMERICS = "moved", "stayed", "not proven", "numerics"


@dataclass(frozen=True)
class Movement:
    """The evidence, the pairs that can be judged, and what became of the map under each edit.

    Of the states there are none where fewer than half of the pairs can be judged.
    """

    found: Reparametrization
    steady: Array
    states: tuple[str, ...]

    @property
    def comparable(self) -> bool:
        """Whether half of the pairs or more can be judged."""
        return bool(2 * self.steady.sum() >= len(self.steady))

    def of(self, state: str) -> list[EditedMaps]:
        """The edits under which the map came out so."""
        return [e for e, s in zip(self.found.entries, self.states, strict=True) if s == state]

    def change(self, entry: EditedMaps) -> float:
        """Median relative change of the maps."""
        return float(np.median(entry.relative_l2[self.steady]))

    def correlation(self, entry: EditedMaps) -> float:
        """Mean rank correlation; 0 for a map that became constant, 1 for one that stayed so."""
        ranks, change = entry.rank_correlation[self.steady], entry.relative_l2[self.steady]
        return float(np.where(np.isnan(ranks), change == 0, ranks).mean())


def movement_of(
    found: Reparametrization,
    allowed: Callable[[Array], Array],
    largest_limit: float,
    least_share: float,
) -> Movement:
    """What became of the map under each edit.

    Args:
        found: the evidence.
        allowed: change of each map that is no finding, by what roundings of the weights do to it.
        largest_limit: of that change; beyond it a pair is not judged.
        least_share: of the pairs whose maps must have moved.
    """
    limit, control = allowed(found.noise), allowed(found.control_noise)
    steady = limit <= largest_limit

    def state(entry: EditedMaps) -> str:
        if not entry.score_change <= found.tolerance:
            return UNPROVEN
        if (entry.control > control).mean() >= least_share:
            return NUMERICS
        beyond = entry.relative_l2[steady] > limit[steady]
        return MOVED if beyond.mean() >= least_share else STAYED

    unjudged = Movement(found, steady, ())
    if not unjudged.comparable:
        return unjudged
    return replace(unjudged, states=tuple(state(e) for e in found.entries))


def unmoved_verdict(movement: Movement) -> tuple[Verdict, str]:
    """Where no edit moved the map: whether they were proven, and numerics carry them."""
    found, unproven = movement.found, movement.of(UNPROVEN)
    if unproven:
        names = listed(f"{e.edit} ({e.place}, {number(e.score_change)})" for e in unproven)
        return Verdict.ERROR, (
            f"Expected edits that keep the scores within {number(found.tolerance)}, got {names}; "
            "audit the model in float32 or float64."
        )
    if blurred := movement.of(NUMERICS):
        names = listed(f"{e.edit} ({e.place})" for e in blurred)
        return Verdict.INCONCLUSIVE, (
            f"Numerics cannot carry {names}: the input gradient, which no edit can move, moved."
        )
    return Verdict.PASS, (
        f"The map stays put, as the model's function does, under "
        f"{counted(len(found.entries), 'edit')} ({counted(len(found.pairs), 'pair')})."
    )


def unsteady_words(movement: Movement) -> str:
    """Why maps that rounding moves cannot be compared."""
    steady, noise = movement.steady, movement.found.noise
    return (
        "The map varies too much to be compared: rounding of the weights, or a second run, moves "
        f"it by {percent(float(np.median(noise)))} (median), and only {int(steady.sum())} of "
        f"{counted(len(steady), 'pair')} can be judged."
    )
