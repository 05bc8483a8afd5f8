"""Several checks, one error rate: Holm's procedure over checks that judge by intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from audit.result.finding import Finding, Verdict
from audit.statistics.paired import holm

SETTLED = frozenset({Verdict.PASS, Verdict.VIOLATION})
Found = TypeVar("Found")


def holm_over_checks(
    rates: Mapping[str, float],
    judge: Callable[[str, float], Found],
    finding_of: Callable[[Found], Finding],
    others: int = 0,
) -> dict[str, tuple[Found, float]]:
    """Judge checks so that the chance of any wrong verdict among them keeps the error rate.

    Holm's step-down procedure in terms of intervals: with m checks open each is judged at its rate
    over m; those that are settled leave, the others are judged again at the rate over their number,
    until none is settled. Interval and p-value decide alike, so that this is Holm (1979) with both
    directions of each verdict counted (Shaffer 1980). A check without a statistic makes no test
    and takes no share.

    Args:
        rates: error rate of each check; where they differ, the largest bounds the family's.
        judge: what a check finds at an error rate; pure.
        finding_of: the finding in what `judge` returns.
        others: checks that were tested before, are not settled, and are no longer judged: they
            keep their part of the error rate, since who is left depends on the data.

    Returns:
        Per check what was found, and the error rate at which it was.
    """
    result = {name: (judge(name, rate), rate) for name, rate in rates.items()}
    open_ = [name for name, (found, _) in result.items() if finding_of(found).statistics]
    while open_:
        for name in open_:
            share = rates[name] / (len(open_) + others)
            if share != result[name][1]:
                result[name] = (judge(name, share), share)
        left = [n for n in open_ if finding_of(result[n][0]).verdict not in SETTLED]
        if len(left) == len(open_):
            break
        open_ = left
    return result


def with_shared_rate(finding: Finding, rate: float, together: int, whole: float) -> Finding:
    """Say at which error rate a check was judged, where it shares it with others or with looks.

    Args:
        finding: of the check.
        rate: at which it was judged.
        together: checks that share the whole rate.
        whole: rate of all of them.
    """
    if not finding.statistics or (together < 2 and math.isclose(rate, whole)):
        return finding
    words = (
        f"Judged at an error rate of {rate:.2g} (intervals of {100 * (1 - rate):.4g} %). The "
        f"checks that were tested together ({together}) share one error rate, {whole:g} in all, by "
        "Holm's procedure: the chance of a wrong verdict among them stays below that."
    )
    return finding.model_copy(update={"detail": [*finding.detail, words]})


def with_adjusted_p(findings: Mapping[str, Finding]) -> dict[str, Finding]:
    """Findings whose deciding p-value is adjusted over all of them, by Holm's procedure.

    The first statistic that has a p-value stands for its check: a check puts the one that its
    verdict goes by first. A check with statistics and no p-value still counts as a test, with p of
    one, so that the others are not adjusted too little.
    """
    first = {
        name: next((i for i, s in enumerate(f.statistics) if s.p is not None), None)
        for name, f in findings.items()
        if f.statistics
    }
    p = [1.0 if i is None else findings[name].statistics[i].p for name, i in first.items()]
    result = dict(findings)
    for (name, i), adjusted in zip(first.items(), holm(np.array(p)).tolist(), strict=True):
        if i is not None:
            statistics = list(findings[name].statistics)
            statistics[i] = statistics[i].model_copy(update={"p_adjusted": adjusted})
            result[name] = findings[name].model_copy(update={"statistics": statistics})
    return result
