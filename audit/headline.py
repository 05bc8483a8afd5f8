"""The verdict in words: one line over all checks, and one sentence per principle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from audit.gate.rule import fails
from audit.result import CheckResult, Severity, Verdict

PRINCIPLES = {
    1: "the explanation is computed on the unmodified model",
    2: "the quality of the maps tracks the performance of the model",
}


def headline_and_sentences(
    name: str, checks: Sequence[CheckResult], code: int, *, fail_on: Severity, strict: bool
) -> tuple[str, dict[Literal["1", "2"], str]]:
    """One line over all, and one sentence per principle."""
    sentences: dict[Literal["1", "2"], str] = {}
    for principle, key in ((1, "1"), (2, "2")):
        own = [c for c in checks if c.principle == principle]
        if own:
            sentences[key] = _principle_sentence(principle, own)  # type: ignore[index]
    failing = [c for c in checks if fails(c, fail_on=fail_on, strict=strict)]
    return _headline(name, checks, failing, code), sentences


def _headline(
    name: str, checks: Sequence[CheckResult], failing: Sequence[CheckResult], code: int
) -> str:
    if code == 3:
        errors = [c.id for c in checks if c.finding.verdict is Verdict.ERROR]
        why = f"{', '.join(errors)} could not be judged" if errors else "no check could be judged"
        return f"The audit of {name} is incomplete: {why}."
    if failing:
        violated = _ids(c for c in failing if c.finding.verdict is Verdict.VIOLATION)
        unclear = _ids(c for c in failing if c.finding.verdict is Verdict.INCONCLUSIVE)
        strictly = f"{unclear} inconclusive, which --strict does not accept" if unclear else ""
        return f"{name} fails {'; '.join(part for part in (violated, strictly) if part)}."
    excused = [c for c in checks if c.finding.verdict is Verdict.VIOLATION]
    parts = {
        "warnings": _ids(c for c in excused if c.waiver is None and c.is_new is not False),
        "waived": _ids(c for c in excused if c.waiver is not None),
        "known from the baseline": _ids(
            c for c in excused if c.waiver is None and c.is_new is False
        ),
    }
    if not excused:
        return f"{name}: no violation found in {len(checks)} checks."
    listed = "; ".join(f"{k}: {v}" for k, v in parts.items() if v)
    return f"{name} passes ({listed})."


def _ids(checks: Iterable[CheckResult]) -> str:
    return ", ".join(c.id for c in checks)


def _principle_sentence(principle: int, checks: Sequence[CheckResult]) -> str:
    violated = [c for c in checks if c.finding.verdict is Verdict.VIOLATION]
    name = f"Principle {principle} ({PRINCIPLES[principle]})"
    if violated:
        return f"{name} is violated: {violated[0].finding.summary}"
    if any(c.finding.verdict is Verdict.ERROR for c in checks):
        return f"{name} could not be judged in full."
    passed = sum(c.finding.verdict is Verdict.PASS for c in checks)
    if passed:
        return f"{name}: no violation found, {passed} of {len(checks)} checks pass."
    return f"{name}: nothing can be said here."
