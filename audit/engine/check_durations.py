"""How the time of an audit is spread over its checks: what judging took, and of the evidence."""

from __future__ import annotations

from collections.abc import Mapping

from principles.catalogue import all_checks


def spent_on_checks(
    gathering: Mapping[str, float], judging: Mapping[str, float]
) -> dict[str, float]:
    """Seconds of an audit by check: its judging, and its share of the gathering.

    The checks that declare a kind of evidence share its seconds equally; what none of them
    declares was gathered for all. The sum over the checks is then the whole audit's.

    Args:
        gathering: seconds by kind of evidence.
        judging: seconds by check.
    """
    declared = {check.id: check.needs for check in all_checks()}
    spent = dict(judging)
    for kind, seconds in gathering.items():
        users = [name for name in spent if kind in declared.get(name, ())] or list(spent)
        for name in users:
            spent[name] += seconds / len(users)
    return spent
