"""What a reader is told about a check: its verdict, given severity and waiver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from audit.result.finding import Severity, Verdict
from audit.result.schema import CheckResult, Result
from audit.result.wording import DASH

__all__ = [
    "STATUSES",
    "VIOLATED",
    "Status",
    "inconclusive",
    "overall",
    "remedy",
    "severity_of",
    "status_of",
    "tally",
    "verdict_word",
]

StatusKey = Literal[
    "violation", "error", "warning", "waived", "inconclusive", "pass", "not-applicable"
]


@dataclass(frozen=True)
class Status:
    """What a reader is told about one check: its verdict, given severity and waiver.

    Attributes:
        key: stable name, used for style classes and icons.
        word: for one check, such as ``Violation``.
        group: heading over several such checks.
        meaning: one sentence for readers who meet the word for the first time.
        glyph: one character, always shown beside the word.
        ascii: the same where only ASCII can be written.
    """

    key: StatusKey
    word: str
    group: str
    meaning: str
    glyph: str
    ascii: str


STATUSES: Final[tuple[Status, ...]] = (
    Status(
        "violation",
        "Violation",
        "Violations",
        "The evidence lies entirely on the wrong side of the threshold.",
        "✕",
        "x",
    ),
    Status(
        "error",
        "Error",
        "Could not be judged",
        "The check or its evidence failed; this is never a pass.",
        "‼",
        "E",
    ),
    Status(
        "warning",
        "Warning",
        "Warnings",
        "Violated by a small margin, or a check on which honest explainers can fail.",
        "▲",
        "!",
    ),
    Status(
        "waived",
        "Waived",
        "Waived",
        "Violated, and accepted for a while by a named owner.",
        "◇",
        "w",
    ),
    Status(
        "inconclusive",
        "Inconclusive",
        "Inconclusive",
        "Too little evidence, or a control failed; neither a pass nor a violation.",
        "?",
        "?",
    ),
    Status(
        "pass",
        "Pass",
        "Passed",
        "The evidence lies entirely on the right side of the threshold.",
        "✓",
        "+",
    ),
    Status(
        "not-applicable",
        "Not applicable",
        "Not applicable",
        "The question does not arise for this explainer, model or data.",
        DASH,
        "-",
    ),
)
VIOLATED: Final = frozenset({"violation", "warning", "waived"})  # keys of what is violated
_BY_KEY: Final[Mapping[str, Status]] = {status.key: status for status in STATUSES}
_VERDICT_WORDS: Final = {"pass": "Pass", "violation": "Violation", "incomplete": "Incomplete"}


def severity_of(check: CheckResult) -> Severity:
    """The severity of a check's finding: its own if it states one, else the check's."""
    return check.finding.severity or check.severity


def status_of(check: CheckResult) -> Status:
    """What a reader is told about `check`."""
    verdict = check.finding.verdict
    if verdict is not Verdict.VIOLATION:
        return _BY_KEY[verdict.value]
    if check.waiver is not None:
        return _BY_KEY["waived"]
    return _BY_KEY["warning" if severity_of(check) is Severity.WARNING else "violation"]


def remedy(check: CheckResult) -> str:
    """What to do about a finding; of a violation without a word of its own, the check's advice."""
    violated = check.finding.verdict is Verdict.VIOLATION
    return check.finding.remedy or (check.how_to_fix if violated else "")


def inconclusive(result: Result) -> list[CheckResult]:
    """The checks that are neither a pass nor a violation, of which reports make one note."""
    return [check for check in result.checks if check.finding.verdict is Verdict.INCONCLUSIVE]


def overall(result: Result) -> Status:
    """The status whose icon and color stand for the whole audit."""
    return _BY_KEY["error" if result.verdict == "incomplete" else result.verdict]


def verdict_word(result: Result) -> str:
    """The verdict of the whole audit in one word."""
    return _VERDICT_WORDS[result.verdict]


def tally(result: Result) -> str:
    """How many checks came out how, such as ``2 violations, 5 passed``."""
    counts: dict[str, int] = {}
    for check in result.checks:
        counts[status_of(check).key] = counts.get(status_of(check).key, 0) + 1
    parts = []
    for status in STATUSES:
        count = counts.get(status.key, 0)
        word = status.word if count == 1 and status.key != "pass" else status.group
        parts += [f"{count} {word.lower()}"] if count else []
    return ", ".join(parts) or "nothing was judged"
