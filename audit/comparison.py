"""Release against release: which verdicts changed between two results."""

from __future__ import annotations

from dataclasses import dataclass

from audit.result import CheckResult, Result, Verdict

_ORDER = {
    Verdict.PASS: 0,
    Verdict.NOT_APPLICABLE: 0,
    Verdict.INCONCLUSIVE: 1,
    Verdict.VIOLATION: 2,
    Verdict.ERROR: 2,
}


@dataclass(frozen=True)
class Comparison:
    """What changed; ``worse`` where any verdict did."""

    worse: bool
    lines: tuple[str, ...]


def compare_results(old: Result, new: Result) -> Comparison:
    """Compare two results check by check."""
    before = {c.id: c for c in old.checks}
    lines = [f"{old.explainer.name} {_when(old)} → {new.explainer.name} {_when(new)}"]
    if old.model.state_sha256 != new.model.state_sha256 or old.data.sha256 != new.data.sha256:
        lines.append("note: the model or the data differ, so numbers are not comparable")
    worse = False
    for check in new.checks:
        previous = before.get(check.id)
        worse |= _is_worse(previous, check)
        lines.append(_line(previous, check))
    return Comparison(worse, tuple(lines))


def _is_worse(old: CheckResult | None, new: CheckResult) -> bool:
    was = _ORDER[old.finding.verdict] if old else 0
    return _ORDER[new.finding.verdict] == 2 and was < 2


def _line(old: CheckResult | None, new: CheckResult) -> str:
    was = old.finding.verdict.value if old else "not checked"
    now = new.finding.verdict.value
    mark = "!" if _is_worse(old, new) else " "
    change = now if was == now else f"{was} → {now}"
    numbers = [
        f"{s.name} {_value(_same(old, s.name))} → {_value(s.value)}" for s in new.finding.statistics
    ]
    return f"{mark} {new.id} {new.name}: {change}" + (f" ({'; '.join(numbers)})" if numbers else "")


def _same(old: CheckResult | None, name: str) -> float | None:
    found = [s.value for s in old.finding.statistics if s.name == name] if old else []
    return found[0] if found else None


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _when(result: Result) -> str:
    commit = (result.conditions.git_commit or "")[:7]
    return commit or result.conditions.started
