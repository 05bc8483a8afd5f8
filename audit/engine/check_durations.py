"""How the time of an audit is spread over its checks: what judging took, and of the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.result.schema import CheckResult
from principles.catalogue import all_checks


def with_durations(
    checks: Sequence[CheckResult], gathering: Mapping[str, float]
) -> list[CheckResult]:
    """Add to each check's seconds of judging its share of the seconds of gathering.

    The checks that declare a kind of evidence share its seconds equally; what none of them
    declares was gathered for all. The sum over the checks is then the whole audit's.

    Args:
        checks: as judged.
        gathering: seconds by kind of evidence.
    """
    declared = {check.id: check.needs for check in all_checks()}
    shares = dict.fromkeys((check.id for check in checks), 0.0)
    for kind, seconds in gathering.items():
        users = [name for name in shares if kind in declared.get(name, ())] or list(shares)
        for name in users:
            shares[name] += seconds / len(users)
    return [
        check.model_copy(update={"seconds": round((check.seconds or 0.0) + shares[check.id], 3)})
        for check in checks
    ]
