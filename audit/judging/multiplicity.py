"""Several checks, two error rates: Holm's procedure for passes and, apart from it, for violations.

A pass is wrong where there is no relation, a violation where there is a clear one. So the tests of
"no relation" make one family of hypotheses and those of "a clear relation" another, and each keeps
the error rate over the checks of a principle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from audit.result.finding import Finding, Verdict
from audit.result.wording import counted
from audit.statistics.paired import holm

SETTLED = frozenset({Verdict.PASS, Verdict.VIOLATION})
Found = TypeVar("Found")


@dataclass(frozen=True)
class Gone:
    """Checks that were tested at earlier looks and are no longer judged.

    Attributes:
        passed: settled so; what would have accused them is still a hypothesis.
        violated: likewise.
        left: without a verdict; since who is left depends on the data, they count in both families.
    """

    passed: int = 0
    violated: int = 0
    left: int = 0

    @property
    def number(self) -> int:
        """How many they are."""
        return self.passed + self.violated + self.left

    def and_one(self, verdict: Verdict | None) -> Gone:
        """These and one more."""
        passed, violated = verdict is Verdict.PASS, verdict is Verdict.VIOLATION
        left = not (passed or violated)
        return Gone(self.passed + passed, self.violated + violated, self.left + left)

    def in_family(self, wanted: Verdict) -> int:
        """Hypotheses that were not rejected, of those that this verdict rejects."""
        return self.left + (self.violated if wanted is Verdict.PASS else self.passed)


def holm_over_checks(
    rates: Mapping[str, float],
    judge: Callable[[str, float], Found],
    finding_of: Callable[[Found], Finding],
    gone: Gone = Gone(),
) -> dict[str, tuple[Found, float]]:
    """Judge checks so that wrong passes among them, and wrong violations, keep the error rate each.

    Holm's step-down procedure (1979) in terms of intervals, once for each of the two verdicts: with
    m checks in a family each is judged at its rate over m; those that come out so leave, the others
    are judged again at the rate over their number, until none comes out. Interval and one-sided
    p-value decide alike; that an estimate also has to lie on its side of the middle only makes
    rejections rarer. A check without a statistic makes no test and takes no share. One that is
    settled in neither family is shown at the smaller of its shares, at which it is open as well.

    Args:
        rates: error rate of each check; where they differ, the largest bounds the family's.
        judge: what a check finds at an error rate, in both directions; pure.
        finding_of: the finding in what `judge` returns.
        gone: checks that were tested before and are no longer judged.

    Returns:
        Per check what was found, and the error rate at which it was.
    """
    known: dict[tuple[str, float], Found] = {}

    def finding(name: str, rate: float) -> Finding:
        if (name, rate) not in known:
            known[name, rate] = judge(name, rate)
        return finding_of(known[name, rate])

    tested = [name for name, rate in rates.items() if finding(name, rate).statistics]
    shares = dict(rates)
    if tested:
        passed, unpassed = _step_down(tested, rates, finding, Verdict.PASS, gone)
        violated, unviolated = _step_down(tested, rates, finding, Verdict.VIOLATION, gone)
        shares |= {n: min(unpassed.get(n, 1.0), unviolated.get(n, 1.0)) for n in tested}
        shares |= violated | passed
    for name, rate in shares.items():
        finding(name, rate)
    return {name: (known[name, rate], rate) for name, rate in shares.items()}


def _step_down(
    tested: Sequence[str],
    rates: Mapping[str, float],
    finding: Callable[[str, float], Finding],
    wanted: Verdict,
    gone: Gone,
) -> tuple[dict[str, float], dict[str, float]]:
    """The share at which each check came to a verdict, and that of those that did not."""
    open_, settled = list(tested), dict[str, float]()
    while True:
        share = {n: rates[n] / (len(open_) + gone.in_family(wanted)) for n in open_}
        out = {n: share[n] for n in open_ if finding(n, share[n]).verdict is wanted}
        if not out:
            return settled, share
        settled |= out
        open_ = [n for n in open_ if n not in out]


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
        f"Judged at an error rate of {rate:.2g} (intervals of {100 * (1 - 2 * rate):.4g} %), "
        f"its share of {whole:g} by Holm's procedure over {counted(together, 'check')}."
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
