"""What failed, as plain lines: the message of a test, or of an exception."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from audit.reports import statuses
from audit.result import wording as words
from audit.result.schema import CheckResult, Result

_RAISED: Final = frozenset({"violation", "error", "warning"})
_PLACES: Final = 2


def render_failures(result: Result) -> str:
    """The headline, and every violation or error: sentence, place, statistic and remedy."""
    lines = [result.headline]
    for check in result.checks:
        if statuses.status_of(check).key in _RAISED:
            lines += ["", *_check(check)]
    lines += [f"{failure.where}: {failure.message}" for failure in result.failures]
    return words.visible("\n".join(lines))


def _check(check: CheckResult) -> Iterator[str]:
    finding = check.finding
    yield f"{check.id} {check.name}: {statuses.status_of(check).word.lower()}"
    yield f"  {finding.summary}"
    for place in finding.locations[:_PLACES]:
        yield f"  at {place.file}:{place.line} {place.text}".rstrip()
    for measured in [one for one in finding.statistics if one.value is not None][:1]:
        yield f"  {measured.name} {words.statistic_phrase(measured)}"
    if remedy := statuses.remedy(check):
        yield f"  What to do: {remedy}"
