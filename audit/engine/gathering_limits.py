"""The limits of checks by which gatherers decide what to look at more closely."""

from __future__ import annotations

from collections.abc import Mapping

from audit.evidence.plan import GOES_BY
from audit.judging.selection import by_check
from principles.catalogue import all_checks


def gathering_limits(
    thresholds: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, float]]:
    """By kind of evidence, the limits that its gatherer goes by, of the checks that judge it.

    All checks count, selected or not, so that evidence does not depend on the selection; where
    several judge a kind, the smallest limit counts, so that none misses what it would look at.

    Args:
        thresholds: overrides by check or prefix, and name.
    """
    checks = all_checks()
    own = by_check(thresholds, checks)
    limits = {check.id: check.limits(own.get(check.id)).values() for check in checks}
    found: dict[str, dict[str, float]] = {}
    for kind, names in GOES_BY.items():
        for name in names:
            values = [
                limits[c.id][name] for c in checks if kind in c.needs and name in c.thresholds
            ]
            found.setdefault(kind, {})[name] = min(float(value) for value in values)
    return found
