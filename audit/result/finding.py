"""What a check finds: a verdict, numbers, sentences, and evidence for the eye."""

from __future__ import annotations

from enum import StrEnum

from audit.result.figures import Figure
from audit.result.numbers import Frozen, Statistic


class Verdict(StrEnum):
    """What a check concludes."""

    PASS = "pass"  # noqa: S105
    VIOLATION = "violation"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    ERROR = "error"


class Severity(StrEnum):
    """How severe a violation of a check is: only an ``error`` fails the gate by default."""

    ERROR = "error"
    WARNING = "warning"


class Location(Frozen):
    """A line of source that a finding points at. ``file`` is relative where that is possible."""

    file: str
    line: int
    text: str = ""


class Witness(Frozen):
    """The worst sample of a violation and how to see it again: ``alone``, or among all pairs."""

    pair: str
    command: str
    snippet: str = ""
    alone: bool = True


class Finding(Frozen):
    """What a check found: verdict, numbers, one plain sentence, evidence for the eye."""

    verdict: Verdict
    summary: str
    detail: list[str] = []
    statistics: list[Statistic] = []
    samples: list[str] = []
    locations: list[Location] = []
    figures: list[Figure] = []
    witness: Witness | None = None
    severity: Severity | None = None  # where it differs from the check's own
    pairs_to_settle: int | None = None  # of an INCONCLUSIVE, at the size seen; None if unknown
    more_pairs_help: bool = True  # False where no number of pairs would settle an INCONCLUSIVE
    remedy: str = ""  # what mends a violation, or settles what is open, said of this very finding
    wants: list[str] = []  # kinds of evidence that it was judged without and asks for
