"""Judging at every look at growing evidence, and stopping when the checks are settled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from audit.evidence.interim_looks import ALWAYS, Looks
from audit.evidence.joining import PER_PAIR
from audit.evidence.plan import Gathered, plan
from audit.judging.judge_all import ERROR_RATE, Timed, judge_all
from audit.judging.multiplicity import SETTLED, Gone
from audit.result.finding import Verdict
from audit.result.schema import CheckResult, Failure
from audit.statistics.spending import levels
from principles.check import Check


@dataclass(frozen=True)
class Judged:
    """What the checks found, and from what.

    Attributes:
        results: one per check.
        broken: failures of judging itself.
        gathered: the evidence of the last look.
        looks: how many there were.
        seen: per check, the last look that it was judged at.
        pairs: at each look that was planned; empty where all evidence was judged at once.
        unsaved: open checks for which saved evidence of more pairs holds nothing.
    """

    results: list[CheckResult]
    broken: list[Failure]
    gathered: Gathered
    looks: int
    seen: Mapping[str, int]
    pairs: Sequence[int] = ()
    unsaved: Sequence[str] = ()


def judge_at_once(
    checks: Sequence[Check],
    gathered: Gathered,
    *,
    severity: Mapping[str, str],
    thresholds: Mapping[str, Mapping[str, float]],
    timed: Timed = nullcontext,
) -> Judged:
    """Judge saved evidence of all pairs: one look.

    Evidence that a check asks for, and that was not saved, is an ERROR.
    """
    judge = functools.partial(
        judge_all,
        checks,
        gathered.evidence,
        gathered.failures,
        severity=severity,
        thresholds=thresholds,
        timed=timed,
    )
    judged, broken = judge(to_come=_on_demand(checks))
    asked = frozenset(kind for result in judged for kind in result.finding.wants)
    if asked:
        judged, broken = judge(to_come=_on_demand(checks) - asked)
    return Judged(judged, broken, gathered, 1, {c.id: 1 for c in checks})


def judge_by_looks(
    checks: Sequence[Check],
    looks: Looks,
    *,
    severity: Mapping[str, str],
    thresholds: Mapping[str, Mapping[str, float]],
    timed: Timed = nullcontext,
) -> Judged:
    """Judge at every look until each check is settled, or no more pairs would settle it.

    A check keeps the verdict of the look that settled it. Every look after the first measures only
    what the checks need that are still open and may be settled; an open one whose evidence does
    not grow, or ends, is left without a verdict. Error rates are shared among the open checks by
    Holm's procedure, those left included, and each share is spent over the looks by a boundary
    (`audit.statistics.spending.levels`), so that the chance of any wrong pass at any look keeps the
    error rate, and so does that of any wrong violation (Maurer and Bretz 2013). To leave a check
    makes no verdict and costs none of it.

    Args:
        checks: see `principles.check.Check`.
        looks: evidence, growing; what is not needed is never asked for.
        severity: overrides by check.
        thresholds: overrides by check and name.
        timed: times the judging of each check, by its id.
    """
    judge = functools.partial(judge_all, severity=severity, thresholds=thresholds, timed=timed)
    left, gone = [c for c in checks if _grows(c)], dict[int, Gone]()
    wanted, found = _needs(checks), _Found()
    spend = [functools.partial(_level, looks.pairs, look) for look in range(len(looks.pairs))]
    for number, pairs in enumerate(looks.pairs, 1):
        if lacking := looks.lacking(number, wanted):
            there = [c for c in left if not lacking & (ALWAYS | _planned(c))]
            found.unsaved |= {c.id for c in left if c not in there}
            gone = _with_gone(gone, [c for c in left if c not in there], found.latest)
            left, wanted = there, _needs(there)
            if not left:
                break
        at = functools.partial(judge, spend=spend[number - 1], gone=gone)
        found.gathered, judged, failed = _at_look(left, looks, number, wanted, at)
        found.add(judged, failed, number)
        found.unsaved |= {r.id for r in judged if looks.lacking(number, frozenset(r.finding.wants))}
        open_ = [c for c in left if found.latest[c.id].finding.verdict is Verdict.INCONCLUSIVE]
        if not open_ or number == len(looks.pairs):
            break
        gone = _with_gone(gone, [c for c in left if c not in open_], found.latest)
        forecast = functools.partial(judge, spend=spend[-1], gone=gone)
        wanted, left = _worth_a_look(open_, found.gathered, forecast, pairs, looks.pairs[-1])
        if not left:
            break
        gone = _with_gone(gone, [c for c in open_ if c not in left], found.latest)
    return _with_the_rest(checks, found, judge, looks.pairs)


@dataclass
class _Found:
    """What the looks found so far; of each check the latest, and the look that it is of."""

    latest: dict[str, CheckResult] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    broken: list[Failure] = field(default_factory=list)
    unsaved: set[str] = field(default_factory=set)
    gathered: Gathered | None = None

    def add(self, judged: Sequence[CheckResult], failed: Sequence[Failure], look: int) -> None:
        self.latest |= {r.id: r for r in judged}
        self.seen |= {r.id: look for r in judged}
        self.broken += failed


def _with_the_rest(
    checks: Sequence[Check],
    found: _Found,
    judge: Callable[..., tuple[list[CheckResult], list[Failure]]],
    pairs: Sequence[int],
) -> Judged:
    """Judge the checks that no look judged by the evidence of the last, and sum up."""
    if found.gathered is None:
        raise ValueError("expected evidence of one look or more, got none")
    number = max(found.seen.values(), default=1)
    rest = [c for c in checks if c.id not in found.seen]
    found.add(*judge(rest, found.gathered.evidence, found.gathered.failures), number)
    results = [found.latest[c.id] for c in checks]
    unsaved = sorted(found.unsaved)
    return Judged(results, found.broken, found.gathered, number, found.seen, pairs, unsaved)


def stopping_notes(judged: Judged) -> list[str]:
    """When the looks stopped, from how many pairs each check was judged, and why that may be."""
    pairs = judged.pairs
    if not pairs:
        return []
    end = "that was the budget"
    if judged.looks < len(pairs):
        end = "no check is left that more pairs would settle"
    if judged.unsaved:
        end = f"of more pairs no evidence was saved for {', '.join(judged.unsaved)}"
    fewer = [
        f"{', '.join(sorted(c for c, at in judged.seen.items() if at == look))} by "
        f"{pairs[look - 1]:,}"
        for look in sorted(set(judged.seen.values()) - {judged.looks})
    ]
    judged_by = f" Judged by fewer pairs: {'; '.join(fewer)}." if fewer else ""
    sentence = (
        f"Stopped after {pairs[judged.looks - 1]:,} of at most {pairs[-1]:,} pairs, at look "
        f"{judged.looks} of {len(pairs)}: {end}.{judged_by} The looks together keep the error rate "
        "(Lan and DeMets 1983)."
    )
    return [sentence]


def _at_look(
    checks: Sequence[Check],
    looks: Looks,
    number: int,
    wanted: frozenset[str],
    judge: Callable[..., tuple[list[CheckResult], list[Failure]]],
) -> tuple[Gathered, list[CheckResult], list[Failure]]:
    """Judge at a look, with the evidence that findings ask for.

    What more pairs may make unnecessary is asked for at the last look.
    """
    while True:
        gathered = looks.at(number, wanted)
        to_come = _on_demand(checks) - wanted
        judged, broken = judge(checks, gathered.evidence, gathered.failures, to_come=to_come)
        last = number == len(looks.pairs)
        asking = [r.finding for r in judged if last or not r.finding.more_pairs_help]
        more = frozenset(kind for finding in asking for kind in finding.wants) - wanted
        more -= looks.lacking(number, more)
        if not more:
            return gathered, judged, broken
        wanted |= more


def _worth_a_look(
    checks: Sequence[Check],
    gathered: Gathered,
    judge: Callable[..., tuple[list[CheckResult], list[Failure]]],
    pairs: int,
    budget: int,
) -> tuple[frozenset[str], list[Check]]:
    """What the next look has to measure, and the open checks that it is evidence for.

    The forecast is at the level of the last look: it makes no verdict, and costs no error rate.
    """
    forecast, _ = judge(checks, gathered.evidence, gathered.failures, to_come=_on_demand(checks))
    may = {r.id for r in forecast if may_settle(r, pairs, budget)}
    if not may:
        return frozenset(), []
    wanted = _needs([c for c in checks if c.id in may])
    return wanted, [c for c in checks if _planned(c) <= frozenset(plan(wanted))]


def _grows(check: Check) -> bool:
    """Whether it shares an error rate, and more pairs are more evidence for it."""
    return ERROR_RATE in check.thresholds and bool((check.needs - ALWAYS) & PER_PAIR)


def _with_gone(
    gone: Mapping[int, Gone], checks: Sequence[Check], latest: Mapping[str, CheckResult]
) -> dict[int, Gone]:
    """Those that are gone, by principle, and these checks as their latest verdicts have them."""
    result = dict(gone)
    for check in checks:
        known = latest.get(check.id)
        before = result.get(check.principle, Gone())
        result[check.principle] = before.and_one(known.finding.verdict if known else None)
    return result


def _level(pairs: Sequence[int], look: int, rate: float) -> float:
    return levels([n / pairs[-1] for n in pairs], rate)[look]


def _needs(checks: Sequence[Check]) -> frozenset[str]:
    """The kinds that checks cannot do without, and those of every report."""
    return ALWAYS.union(*(c.needs - c.on_demand for c in checks))


def _planned(check: Check) -> frozenset[str]:
    """The kinds that a check cannot do without, and what they need."""
    return frozenset(plan(check.needs - check.on_demand))


def _on_demand(checks: Sequence[Check]) -> frozenset[str]:
    return frozenset[str]().union(*(c.on_demand for c in checks))


def may_settle(forecast: CheckResult, pairs: int, budget: int) -> bool:
    """Whether more pairs within the budget may settle a check, by what it would find at the last.

    An effect that looks too small is no reason to give up: at a quarter of the budget that would
    cost most of the power. That no number of pairs helps, as where a control fails or rungs are
    too few, is believed from half of the budget on, and so is that it takes more pairs than that
    to test at all. Where nothing says that a test will be possible, as on a model that knows
    nothing, the check is given up at once.
    """
    finding = forecast.finding
    if finding.verdict in SETTLED or finding.wants:
        return True
    if finding.verdict is not Verdict.INCONCLUSIVE:
        return False
    early, needed = 2 * pairs < budget, finding.pairs_to_settle
    if not finding.statistics:  # not even a test was possible
        return needed is not None and (needed <= budget or early)
    return finding.more_pairs_help or early
