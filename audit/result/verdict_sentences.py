"""The verdict in words: one line over all checks, and one sentence per principle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from audit.result import wording as words
from audit.result.finding import Severity, Verdict
from audit.result.gate_rule import NO_VERDICT, fails
from audit.result.schema import CheckResult, Failure

BROKEN = {
    1: "the explanation is not computed on the unmodified model",
    2: "the quality of the maps does not track the performance of the model",
}
_SUBJECT = "The explainer "


def headline_and_sentences(
    name: str,
    checks: Sequence[CheckResult],
    code: int,
    failures: Sequence[Failure] = (),
    *,
    fail_on: Severity,
    strict: bool,
) -> tuple[str, dict[Literal["1", "2"], str]]:
    """One line over all, and one sentence per principle."""
    sentences: dict[Literal["1", "2"], str] = {}
    for principle, key in ((1, "1"), (2, "2")):
        own = [c for c in checks if c.principle == principle]
        if own:
            sentences[key] = _principle_sentence(principle, own)  # type: ignore[index]
    failing = [c for c in checks if fails(c, fail_on=fail_on, strict=strict)]
    return _headline(name, checks, failing, failures, code), sentences


def _headline(
    name: str,
    checks: Sequence[CheckResult],
    failing: Sequence[CheckResult],
    failures: Sequence[Failure],
    code: int,
) -> str:
    violated = _violated(failing)
    if code == 3:
        errors = [c.id for c in checks if c.finding.verdict is Verdict.ERROR]
        broken = f"{failures[0].where} failed" if failures else "no check came to a verdict"
        why = f"{', '.join(errors)} could not be judged" if errors else broken
        also = f"; {_ids(violated)} violated" if violated else ""
        return f"The audit of {name} is incomplete: {why}{also}."
    if failing:
        silent = [c for c in failing if c.finding.verdict in NO_VERDICT]
        unclear = _ids(c for c in silent if not c.required)
        strictly = f"--strict does not accept that {unclear} is inconclusive" if unclear else ""
        missing = ", ".join(
            f"{c.id} ({c.finding.verdict.value.replace('-', ' ')})" for c in silent if c.required
        )
        required = f"--require wants a verdict of {missing}" if missing else ""
        claim = _claim(name, violated)
        return f"{'; '.join(part for part in (claim, strictly, required) if part)}."
    excused = [c for c in checks if c.finding.verdict is Verdict.VIOLATION]
    if not excused:
        return f"{name}: no violation found in {words.counted(len(checks), 'check')}."
    listed = "; ".join(f"{k}: {v}" for k, v in _excuses(excused).items() if v)
    return f"{name} passes ({listed})."


def _claim(name: str, violated: Sequence[CheckResult]) -> str:
    """What is wrong, in the words of the gravest check; the others by their ids."""
    if not violated:
        return ""
    first, *rest = sorted(violated, key=lambda c: c.severity is not Severity.ERROR)
    title = first.title.rstrip(".")
    what = (
        f"{name} {title.removeprefix(_SUBJECT)}"
        if title.startswith(_SUBJECT)
        else f"{name}: {title[:1].lower()}{title[1:]}"
    )
    also = f", and fails {_ids(rest)}" if rest else ""
    return f"{what} ({first.id}){also}"


def _excuses(excused: Sequence[CheckResult]) -> dict[str, str]:
    """Why violations do not fail the gate."""
    return {
        "warnings": _ids(c for c in excused if c.waiver is None and c.is_new is not False),
        "waived": _ids(c for c in excused if c.waiver is not None),
        "known from the baseline": _ids(
            c for c in excused if c.waiver is None and c.is_new is False
        ),
    }


def _violated(checks: Iterable[CheckResult]) -> list[CheckResult]:
    return [c for c in checks if c.finding.verdict is Verdict.VIOLATION]


def _ids(checks: Iterable[CheckResult]) -> str:
    return ", ".join(c.id for c in checks)


def _principle_sentence(principle: int, checks: Sequence[CheckResult]) -> str:
    violated = _violated(checks)
    grave = [c for c in violated if c.severity is Severity.ERROR and c.waiver is None]
    if grave:
        rest = _ids(grave[1:])
        return (
            f"Principle {principle} is violated: {BROKEN[principle]}. {grave[0].finding.summary}"
            + (f" Violated as well: {rest}." if rest else "")
        )
    errors = _ids(c for c in checks if c.finding.verdict is Verdict.ERROR)
    if errors:
        return f"Principle {principle} could not be judged in full: {errors}."
    if violated:
        listed = "; ".join(f"{k}: {v}" for k, v in _excuses(violated).items() if v)
        return (
            f"Principle {principle}: no violation that counts ({listed}). "
            f"{violated[0].finding.summary}"
        )
    passed = sum(c.finding.verdict is Verdict.PASS for c in checks)
    if passed:
        unclear = sum(c.finding.verdict is Verdict.INCONCLUSIVE for c in checks)
        also = f", {unclear} inconclusive" if unclear else ""
        return (
            f"Principle {principle}: no violation found; {passed} of "
            f"{words.counted(len(checks), 'check')} pass{also}."
        )
    return f"Principle {principle}: nothing can be said here."
