"""P101 weights-unchanged.

What it does: Compares every parameter and buffer of the model, bit by bit, with an untouched copy:
at each use while the explainer runs, and when it has returned. In-place writes that were put back
are seen by torch's version counters, writes through `.data` by content. A copy of the model that
the explainer runs in its place must have the same content.

Why it matters: An explanation computed with other weights is an explanation of another model. A
model that is left with other weights also changes what everybody downstream computes.

What a pass does not show: That the explainer uses these weights as the model does. See P104 and
P105.
"""

from audit.evidence.kinds import Evidence
from audit.result.schema import Finding, Severity, Statistic, Verdict
from principles.check import Check, Thresholds
from principles.finding_parts import listed, locations, plural, witness


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where any tensor differed, during or after."""
    del thresholds
    assert evidence.trace is not None  # noqa: S101 - declared in needs
    traces = evidence.trace.traces
    found = [(t.pair, c) for t in traces for c in t.changes if c.kind == "weights"]
    tensors = {c.path for _, c in found}
    statistic = Statistic(
        name="tensors that differed",
        value=len(tensors),
        threshold=0,
        good_side="below",
        n=len(traces),
    )
    if not found:
        runs = plural(len(traces), "run")
        summary = f"All parameters and buffers stayed bit-identical in {runs}."
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=[statistic])
    what = listed(f"{c.path or 'the model'} ({c.what}, {c.when})" for _, c in found)
    pair = found[0][0]
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"{plural(len(tensors), 'tensor')} of the model differed: {what}.",
        detail=sorted({f"{c.path}: {c.what} ({c.when}) {c.place}" for _, c in found}),
        statistics=[statistic],
        samples=[pair],
        locations=locations((c.place, c.what) for _, c in found),
        witness=witness(evidence.roles, "P101", pair),
    )


CHECK = Check(
    id="P101",
    name="weights-unchanged",
    title="Are parameters and buffers bit-identical during and after the explanation?",
    failure_title="The explainer changed the model's weights",
    severity=Severity.ERROR,
    needs=frozenset({"trace"}),
    thresholds={},
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
