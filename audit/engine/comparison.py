"""Release against release: which verdicts changed, and by how much the maps' quality did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from audit.former_names import present_name
from audit.gate.baseline import ACCEPTED, BADNESS, worse
from audit.result import wording as words
from audit.result.finding import Severity, Verdict
from audit.result.gate_rule import fails
from audit.result.schema import CheckResult, Result


@dataclass(frozen=True)
class QualityChange:
    """Mean change of a measure over the pairs that both results have.

    Attributes:
        measure: such as ``average precision``.
        old: mean before, over these pairs.
        new: mean now.
        low: lower end of the 95 % interval of the change.
        high: upper end.
        pairs: number of pairs.
    """

    measure: str
    old: float
    new: float
    low: float
    high: float
    pairs: int

    @property
    def lower(self) -> bool:
        """Whether quality fell, the whole interval lying below zero."""
        return self.high < 0


@dataclass(frozen=True)
class CheckChange:
    """A check in both results.

    Attributes:
        old: None where it was not checked before.
        new: None where it is no longer checked.
        fails: whether it got worse and counts.
        worse: whether it got worse at all.
    """

    old: CheckResult | None
    new: CheckResult | None
    fails: bool
    worse: bool

    @property
    def better(self) -> bool:
        """Whether it was a violation or an error and is none any more."""
        if self.old is None or self.new is None:
            return False
        was, now = self.old.finding.verdict, self.new.finding.verdict
        return BADNESS[was] > 1 and BADNESS[now] < BADNESS[was]


@dataclass(frozen=True)
class Comparison:
    """What changed.

    Attributes:
        worse: a check came out worse and fails: an ERROR, or a violation at or above ``fail_on``
            that no waiver excuses; or one is no longer there; or, where strict, quality fell.
        lower: quality fell by some measure.
        lines: for the reader; the last one sums up and names the exit code.
        changes: check by check, those that are no longer there last.
        quality: by measure, where the data are the same.
        notes: on what is compared.
    """

    worse: bool
    lower: bool
    lines: tuple[str, ...]
    changes: tuple[CheckChange, ...] = ()
    quality: tuple[QualityChange, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where the candidate is worse, else 0."""
        return int(self.worse)

    @property
    def summary(self) -> str:
        """How many checks got worse, better, or stayed."""
        failing = sum(change.fails for change in self.changes)
        counted = {
            "worse": failing,
            "worse without failing": sum(change.worse for change in self.changes) - failing,
            "better": sum(change.better for change in self.changes),
        }
        parts = [f"{count} {word}" for word, count in counted.items() if count]
        parts += ["lower quality"] if self.lower else []
        return ", ".join(parts) or "nothing got worse or better"


def compare_results(
    old: Result,
    new: Result,
    *,
    fail_on: Severity = Severity.ERROR,
    strict: bool = False,
    seed: int = 0,
) -> Comparison:
    """Compare two results check by check, and pair by pair where the data are the same.

    Args:
        old: the accepted release.
        new: the candidate.
        fail_on: severity from which a violation that was none before counts as worse.
        strict: lower quality counts as well.
        seed: of the bootstrap.
    """
    before = {present_name("check", check.id)[0]: check for check in old.checks}
    quality = quality_changes(old, new, seed=seed)
    lines = [f"{old.explainer.name} {_when(old)} → {new.explainer.name} {_when(new)}"]
    notes = tuple(_subject_notes(old, new))
    lines += notes
    lines += [_line(before.get(check.id), check, fail_on) for check in new.checks]
    there = {check.id for check in new.checks}
    gone = [check for name, check in before.items() if name not in there]
    lines += [f"! {c.id} {c.name}: {c.finding.verdict.value} → not checked" for c in gone]
    lines += [_quality_line(change, "!" if strict else "~") for change in quality]
    lower = any(change.lower for change in quality)
    changes = [_change(before.get(check.id), check, fail_on) for check in new.checks]
    changes += [CheckChange(check, None, fails=True, worse=True) for check in gone]
    found = Comparison(
        worse=any(change.fails for change in changes) or (strict and lower),
        lower=lower,
        lines=tuple(lines),
        changes=tuple(changes),
        quality=tuple(quality),
        notes=notes,
    )
    last = f"{found.summary}; exit code {found.exit_code}"
    return replace(found, lines=(*lines, last))


def quality_changes(old: Result, new: Result, *, seed: int = 0) -> list[QualityChange]:
    """Paired differences of every measure that both have, bootstrapped over what is drawn whole."""
    if old.data.sha256 != new.data.sha256:
        return []
    measures = dict.fromkeys(name for pair in new.pair_quality for name in pair.values)
    found = (_quality_change(old, new, measure, seed) for measure in measures)
    return [change for change in found if change is not None]


def _change(old: CheckResult | None, new: CheckResult, fail_on: Severity) -> CheckChange:
    failing = _fails(old, new, fail_on)
    return CheckChange(old, new, fails=failing, worse=failing or _got_worse(old, new))


def _quality_change(old: Result, new: Result, measure: str, seed: int) -> QualityChange | None:
    import numpy as np

    from audit.statistics.paired import paired_difference

    before = {pair.pair: pair.values.get(measure) for pair in old.pair_quality}
    rows = [
        (now, was, pair.cluster)
        for pair in new.pair_quality
        if (now := pair.values.get(measure)) is not None
        and (was := before.get(pair.pair)) is not None
    ]
    if len({cluster for _, _, cluster in rows}) < 2:
        return None
    table = np.array(rows, dtype=np.float64)
    rng = np.random.default_rng(seed)
    found = paired_difference(table[:, 0], table[:, 1], clusters=table[:, 2], rng=rng)
    return QualityChange(
        measure=measure,
        old=float(table[:, 1].mean()),
        new=float(table[:, 0].mean()),
        low=found.low,
        high=found.high,
        pairs=len(rows),
    )


def _subject_notes(old: Result, new: Result) -> Iterator[str]:
    if not old.model.is_same_as(new.model):
        yield "note: the models differ, so a change may be the model's and not the explainer's"
    if old.data.sha256 != new.data.sha256:
        yield "note: the data differ, so quality is not compared pair by pair"
    if old.decides != new.decides:
        yield (
            f"note: localization was judged by {old.decides} and is judged by {new.decides}, so "
            "the verdicts of principle 2 do not compare"
        )


def _got_worse(old: CheckResult | None, new: CheckResult) -> bool:
    """A VIOLATION or ERROR that was none, or a violation whose severity has risen."""
    was, now = old.finding.verdict if old else Verdict.PASS, new.finding.verdict
    if old and was is now is Verdict.VIOLATION:
        return (old.severity, new.severity) == (Severity.WARNING, Severity.ERROR)
    return was is not now and BADNESS[now] > max(ACCEPTED[was], 1)


def _fails(old: CheckResult | None, new: CheckResult, fail_on: Severity) -> bool:
    if new.finding.verdict is Verdict.ERROR:
        return _got_worse(old, new)
    own = new.model_copy(update={"is_new": None})
    return _got_worse(old, new) and fails(own, fail_on=fail_on, strict=False)


def _line(old: CheckResult | None, new: CheckResult, fail_on: Severity) -> str:
    was = old.finding.verdict.value if old else "not checked"
    now = new.finding.verdict.value
    mark = "!" if _fails(old, new, fail_on) else "~" if _got_worse(old, new) else " "
    change = now if was == now else f"{was} → {now}"
    numbers = [
        f"{s.name} {words.number(_same(old, s.name))} → {words.number(s.value)}"
        for s in new.finding.statistics
    ]
    why = (
        worse(old, new, numbers=False) if old and new.finding.verdict is Verdict.VIOLATION else None
    )
    extra = [why] if why and "→" not in why else []
    details = "; ".join([*extra, *numbers])
    return f"{mark} {new.id} {new.name}: {change}" + (f" ({details})" if details else "")


def _quality_line(change: QualityChange, lower: str) -> str:
    mark = lower if change.lower else " "
    difference = change.new - change.old
    return (
        f"{mark} quality by {change.measure}: {change.old:.3f} → {change.new:.3f}, "
        f"change {difference:+.3f}, 95 % interval {change.low:+.3f} to {change.high:+.3f} "
        f"({change.pairs} pairs)"
    )


def _same(old: CheckResult | None, name: str) -> float | None:
    found = [s.value for s in old.finding.statistics if s.name == name] if old else []
    return found[0] if found else None


def _when(result: Result) -> str:
    commit = (result.conditions.git_commit or "")[:7]
    return commit or result.timing.started
