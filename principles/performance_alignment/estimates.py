"""What the checks of principle 2 share: measures of quality, controls, numbers for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audit.evidence.kinds import AVERAGE_PRECISION, Explanations, Faithfulness, Roles
from audit.result.figures import Figure
from audit.result.finding import Finding, Verdict, Witness
from audit.result.numbers import Interval, Statistic
from audit.statistics.correlation import spread_between
from audit.statistics.estimate import Estimate
from audit.statistics.paired import sign_flip
from audit.statistics.power import (
    smallest_visible_effect,
    visible_distance,
)
from audit.trace.records import Array
from principles.finding_parts import finite, interval_words, listed
from principles.indifference import Zone, level_of

CONTROL_LEVEL = 0.95  # controls are a gate, no claim: they take no share of the error rate
CONTROL_RATE = (1 - CONTROL_LEVEL) / 2
LEAST_RANGE = 0.1  # of the usual range of scores, below which faithfulness has no scale


@dataclass(frozen=True)
class Measure:
    """A measure of map quality on the unmodified model.

    Attributes:
        name: ``localization`` or ``faithfulness``.
        pairs: indices of the pairs that it was measured on, (measured,).
        values: per explainer, (measured,), NaN where a pair has none.
        again: the same measured a second time, with another fill; empty where it was not.
    """

    name: str
    pairs: Array
    values: dict[str, Array]
    again: dict[str, Array] = field(default_factory=dict)

    def known(self, explainer: str) -> Measure:
        """The same without the pairs on which an explainer has no value."""
        return self.at(np.isfinite(self.values[explainer]))

    def at(self, keep: Array) -> Measure:
        """The same on some of the pairs."""
        values, again = (
            {name: v[keep] for name, v in table.items()} for table in (self.values, self.again)
        )
        return Measure(self.name, self.pairs[keep], values, again)


@dataclass(frozen=True)
class Reading:
    """What one measure says; its verdict counts only if its controls let it speak."""

    may_speak: bool
    verdict: Verdict
    sentence: str
    statistics: Sequence[Statistic] = ()
    figures: Sequence[Figure] = ()
    witness: Witness | None = None
    pairs_to_settle: int | None = None
    more_pairs_help: bool = True
    remedy: str = ""  # of a violation


def measures(explanations: Explanations, faithfulness: Faithfulness, roles: Roles) -> list[Measure]:
    """Localization where there are masks, then faithfulness of the probed pairs.

    Faithfulness is insertion minus deletion over the model's own full minus empty score of the
    pair; a pair whose full score hardly differs from its empty one has none.
    """
    audited, found = roles.audited, []
    if audited in explanations.localization:
        values = {n: v[roles.decides] for n, v in explanations.localization.items()}
        found.append(Measure("localization", np.arange(len(values[audited])), values))
    if (measured := faithfulness_of(faithfulness, roles)) is not None:
        found.append(measured)
    known = [m.known(audited) for m in found]
    return [m for m in known if len(m.pairs)]


def decider_words(roles: Roles) -> str:
    """The measure against masks that decides, in the words of a caption."""
    usual = roles.decides == AVERAGE_PRECISION
    return f"chance-corrected {AVERAGE_PRECISION}" if usual else roles.decides


def faithfulness_of(measured: Faithfulness, roles: Roles) -> Measure | None:
    """Faithfulness of the probed pairs, None where that of the audited maps was not measured."""
    if roles.audited not in measured.gaps:
        return None
    scale, second = _scale(measured.span), _scale(measured.other_span)
    values = {n: v / scale for n, v in measured.gaps.items()}
    again = {n: v / second for n, v in measured.other_gaps.items()}
    return Measure("faithfulness", measured.probed, values, again)


def _scale(span: Array) -> Array:
    """Full minus empty score of each pair, NaN where it hardly differs from zero."""
    least = LEAST_RANGE * max(float(np.median(span)), 0.0) if len(span) else 0.0
    return np.where(span > least, span, np.nan)


def combined(readings: Sequence[Reading]) -> Finding:
    """The verdict of the first measure that may speak; the others are reported beside it.

    One measure decides, so that two do not double the share of wrong verdicts.
    """
    if not readings:
        summary = "There is no measure of quality here: no masks, and faithfulness of no pair."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    speaker = next((r for r in readings if r.may_speak), None)
    first = speaker or readings[0]
    ordered = [first, *(r for r in readings if r is not first)]
    verdict = speaker.verdict if speaker else Verdict.INCONCLUSIVE
    return Finding(
        verdict=verdict,
        summary=first.sentence,
        detail=[r.sentence for r in readings],
        statistics=[s for r in ordered for s in r.statistics],
        figures=[f for r in readings for f in r.figures],
        pairs_to_settle=first.pairs_to_settle if verdict is Verdict.INCONCLUSIVE else None,
        more_pairs_help=first.more_pairs_help or verdict is not Verdict.INCONCLUSIVE,
        witness=first.witness if verdict is Verdict.VIOLATION else None,
        remedy=first.remedy if verdict is Verdict.VIOLATION else "",
        samples=[first.witness.pair] if verdict is Verdict.VIOLATION and first.witness else [],
    )


def level_for(name: str, roles: Roles, rate: float) -> float:
    """Level of an explainer's interval: of the audited one by the error rate of the check."""
    return level_of(rate) if name == roles.audited else CONTROL_LEVEL


def resamples_for(base: int, level: float) -> int:
    """Bootstrap draws that leave some in each tail at this level."""
    return min(max(base, math.ceil(10 / (1 - level) - 1e-6)), 20_000)


def others(roles: Roles, known: Mapping[str, object]) -> list[str]:
    """Positive controls with a value, other than the audited explainer."""
    return [n for n in roles.positive if n in known and n != roles.audited]


def judged(roles: Roles, known: Mapping[str, object]) -> list[str]:
    """The audited explainer and its controls that have a value, in that order."""
    names = dict.fromkeys((roles.audited, *roles.positive, *roles.negative))
    return [name for name in names if name in known]


def controls_fail(estimates: Mapping[str, Estimate], roles: Roles, zone: Zone, does: str) -> str:
    """Why a measure cannot speak here, empty where it can.

    Args:
        estimates: per explainer.
        roles: which is which.
        zone: by which a control passes.
        does: what passing means, as in ``tracks the ladder``.
    """
    faithful = others(roles, estimates)
    if faithful and not any(zone.decide(estimates[n]) is Verdict.PASS for n in faithful):
        best = max(faithful, key=lambda n: estimates[n].value)
        return f"no faithful control {does} (best {best}, {interval_words(estimates[best])})"
    passing = [
        n
        for n in roles.negative
        if n in estimates and n != roles.audited and zone.decide(estimates[n]) is Verdict.PASS
    ]
    return f"the model-free control {listed(passing)} {does} as well" if passing else ""


def reasons(*clauses: str) -> str:
    """Why a measure cannot speak, in one clause; empty where nothing speaks against it."""
    return "; ".join(clause for clause in clauses if clause)


def statistic(
    name: str, estimate: Estimate, zone: Zone, smallest: float = math.nan, test: str = ""
) -> Statistic:
    """An estimate beside its zone; larger is better. ``test`` says where its p comes from.

    Where no smallest effect is given, it is the distance from an end of the zone that an interval
    of this width would have cleared.
    """
    p = estimate.p if estimate.p is not None and math.isfinite(estimate.p) else None
    if not math.isfinite(smallest):
        smallest = visible_distance(estimate.low, estimate.high, estimate.level)
    return Statistic(
        name=name,
        value=finite(estimate.value),
        interval=Interval(
            low=finite(estimate.low), high=finite(estimate.high), level=estimate.level
        ),
        threshold=zone.end(estimate.value),
        good_side="above",
        none=zone.none,
        clear=zone.clear,
        n=estimate.n,
        smallest_visible_effect=finite(smallest),
        p=p if test else None,
        p_test=test if p is not None else "",
    )


def flipped(
    estimate: Estimate, difference: Array, picture: Array, threshold: float, tests: int = 1
) -> Estimate:
    """The estimate with the p-value of a mean difference at the threshold, pictures flipped.

    Without one where all differences are equal: nothing varies, and no test is needed. Where the
    check makes several such ``tests``, p is Bonferroni's.
    """
    known = difference[np.isfinite(difference)]
    if len(known) == 0 or np.ptp(known) == 0:
        return replace(estimate, p=None)
    p = sign_flip(difference - threshold, clusters=picture, rng=np.random.default_rng(0))
    return replace(estimate, p=min(1.0, tests * p))


def visible_difference(difference: Array, picture: Array, level: float = 0.95) -> float:
    """Smallest mean difference over pictures that this many of them could have shown."""
    spread, n = spread_between(difference, picture)
    if not np.isfinite(spread):
        return math.nan
    return smallest_visible_effect("mean", n, spread=spread, alpha=1 - level)
