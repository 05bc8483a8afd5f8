"""Waivers: violations that are accepted for a while, with reason, owner and expiry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol, runtime_checkable

from audit.result.finding import Severity, Verdict
from audit.result.gate_rule import fails
from audit.result.schema import CheckResult, Waiver


@runtime_checkable
class Accepted(Protocol):
    """An accepted violation; see `audit.config.waivers.WaiverEntry`."""

    @property
    def check(self) -> str:
        """Id of the check, such as P104."""

    @property
    def reason(self) -> str:
        """Why the violation is accepted."""

    @property
    def owner(self) -> str:
        """Who answers for it."""

    @property
    def expires(self) -> date:
        """Last day on which it counts."""

    @property
    def explainer(self) -> str | None:
        """Only for this explainer; None for any."""


def apply_waivers(
    checks: Sequence[CheckResult],
    waivers: Sequence[Accepted],
    *,
    explainer: str,
    strict: bool,
    today: date,
) -> tuple[list[CheckResult], list[str]]:
    """Waive what is violated and accepted; say which waivers have expired or are not needed.

    Args:
        checks: the judged checks.
        waivers: all waivers of the project.
        explainer: a waiver for another one is passed over.
        strict: INCONCLUSIVE fails, hence can be waived too.
        today: a waiver counts through its last day.
    """
    mine = [w for w in waivers if w.explainer in {None, explainer}]
    live = {w.check.upper(): w for w in mine if w.expires >= today}
    failing = {c.id for c in checks if fails(c, fail_on=Severity.WARNING, strict=strict)}
    waived = [
        c.model_copy(update={"waiver": _stated(live[c.id])})
        if c.id in live and c.id in failing
        else c
        for c in checks
    ]
    verdicts = {c.id: c.finding.verdict for c in checks}
    notes = [
        _note(w, verdicts[w.check.upper()], today, failing=w.check.upper() in failing)
        for w in mine
        if w.check.upper() in verdicts
    ]
    return waived, [note for note in notes if note]


def _note(waiver: Accepted, verdict: Verdict, today: date, *, failing: bool) -> str:
    name = f"The waiver of {waiver.check.upper()} by {waiver.owner}"
    if verdict is Verdict.PASS:
        return f"{name} is not needed: the check passes; remove the waiver."
    if verdict is Verdict.ERROR:
        return f"{name} excuses no error: the check could not be judged."
    if not failing:
        return f"{name} is not used: the check says {verdict.value}."
    if waiver.expires < today:
        return (
            f"{name} expired on {waiver.expires.isoformat()} and no longer waives anything; fix "
            "the violation, or renew the waiver with a new date."
        )
    return ""


def _stated(waiver: Accepted) -> Waiver:
    """As a result states it."""
    return Waiver(
        check=waiver.check.upper(),
        reason=waiver.reason,
        owner=waiver.owner,
        expires=waiver.expires.isoformat(),
    )
