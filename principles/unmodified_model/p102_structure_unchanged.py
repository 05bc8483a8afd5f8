"""P102 structure-unchanged.

What it does: Compares forward methods, module classes, submodules, plain attributes such as head
counts, hooks and flags with a snapshot: of every module at the moment it runs, and of all when the
explainer has returned. Library functions that attention goes through are watched too. Hooks that
only observe and are removed are fine, and so are flags that do not change what the model computes.

Why it matters: A head count of one instead of twelve, a patched forward or a forgotten hook makes
another network of the same weights.

What a pass does not show: That the explainer's own code computes what the model computes. See P104
and P105.
"""

from audit.evidence.kinds import Evidence
from audit.result.schema import Finding, Severity, Statistic, Verdict
from principles.check import Check, Thresholds
from principles.finding_parts import listed, locations, plural, witness


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where structure was altered during the run, or anything was left behind."""
    del thresholds
    assert evidence.trace is not None  # noqa: S101 - declared in needs
    traces = evidence.trace.traces
    found = [
        (t.pair, c)
        for t in traces
        for c in t.changes
        if c.kind == "structure" and (c.altering or c.when == "after")
    ]
    places = {(c.path, c.what) for _, c in found}
    statistic = Statistic(
        name="structural changes", value=len(places), threshold=0, good_side="below", n=len(traces)
    )
    if not found:
        summary = f"Structure, hooks and flags were as before in {plural(len(traces), 'run')}."
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=[statistic])
    what = listed(f"{c.path or 'the model'}: {c.what} ({c.when})" for _, c in found)
    pair = found[0][0]
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"The model's structure was altered: {what}.",
        detail=sorted({f"{c.path}: {c.what} ({c.when}) {c.place}" for _, c in found}),
        statistics=[statistic],
        samples=[pair],
        locations=locations((c.place, c.what) for _, c in found),
        witness=witness(evidence.roles, "P102", pair),
    )


CHECK = Check(
    id="P102",
    name="structure-unchanged",
    title="Are forward methods, classes, head counts, hooks and flags as before?",
    failure_title="The explainer altered the model's structure",
    severity=Severity.ERROR,
    needs=frozenset({"trace"}),
    thresholds={},
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
