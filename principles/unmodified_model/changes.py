"""Changes of the model that a trace shows, and the finding that they make: P101 and P102."""

from __future__ import annotations

from collections.abc import Sequence

from audit.evidence.kinds import Roles, TraceEvidence
from audit.result.finding import Finding, Verdict
from audit.result.numbers import Statistic
from audit.result.wording import counted
from audit.trace.records import ChangeRecord
from principles.finding_parts import listed, locations, witness
from principles.unmodified_model import remedies

Change = tuple[str, ChangeRecord]  # of the pair with this id


def changes_of(trace: TraceEvidence, kind: str) -> list[Change]:
    """Changes of one kind, ``weights`` or ``structure``, before the traced pairs and in them."""
    first = [(t.pair, c) for t in trace.traces[:1] for c in trace.before]
    found = [(t.pair, c) for t in trace.traces for c in t.changes]
    return [(pair, change) for pair, change in (*first, *found) if change.kind == kind]


def finding_of_changes(
    check: str,
    found: list[Change],
    trace: TraceEvidence,
    roles: Roles,
    *,
    measured: tuple[str, int],
    passed: str,
    violated: str,
    told: Sequence[Change] = (),
) -> Finding:
    """PASS where nothing changed, else a violation that names each change and its place.

    Args:
        check: id of the check.
        found: what changed.
        trace: of all pairs.
        roles: which explainer is which.
        measured: name and value of the statistic that decides.
        passed: how things stayed, as in ``All parameters stayed bit-identical``.
        violated: what went wrong, as in ``Other weights than the model's``.
        told: changes that are no fault.
    """
    runs = len(trace.traces)
    name, count = measured
    statistic = Statistic(name=name, value=count, threshold=0, good_side="below", n=runs)
    if not found:
        also = f"; told, not accused: {_listed(told)}" if told else ""
        summary = f"{passed} in {counted(runs, 'run')}{also}."
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=[statistic])
    pair, first = found[0]
    mend = remedies.of_weights if first.kind == "weights" else remedies.of_structure
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"{violated}: {_listed(found)}.",
        detail=sorted({f"{c.path}: {c.what} ({c.when}) {c.place}" for _, c in found}),
        statistics=[statistic],
        samples=[pair],
        locations=locations((c.place, c.what) for _, c in found),
        witness=witness(roles, check, pair),
        remedy=mend(first),
    )


def _listed(found: Sequence[Change]) -> str:
    return listed(f"{c.path or 'the model'}: {c.what} ({c.when})" for _, c in found)
