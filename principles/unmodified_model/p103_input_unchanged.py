"""P103 input-unchanged.

What it does: Looks at the pixels and token ids that reach the first layer of each tower. The
picture and the text of the pair must be among them, at the model's own resolution. Families of
altered pictures around it (masks, noise, paths from a baseline) are probes and are fine: they keep
the color of each pixel on the line from a fill to the given color, or scatter around it. Passes
that the map does not depend on do not count.

Why it matters: A resized or differently cropped picture has other tokens and interpolated
positions: its score is not the score that the model gives in production, and neither is its map.

What a pass does not show: That what follows the first layer is the model's. See P104 and P105.
"""

from __future__ import annotations

from audit.evidence.kinds import Evidence
from audit.result.schema import Finding, Severity, Statistic, Verdict
from audit.trace.records import PairTrace, PassRecord
from principles.check import Check, Thresholds
from principles.finding_parts import locations, plural, source_figure, witness
from principles.unmodified_model.faults import FEWEST_PROBES, Fault, unseen


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where another picture or text stands in for the given one."""
    del thresholds
    assert evidence.trace is not None  # noqa: S101 - declared in needs
    traces = evidence.trace.traces
    if not any(t.passes for t in traces):
        if hidden := unseen(traces):
            return hidden
        summary = "No picture or text reached a first layer: the explainer does not run the model."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    control = [fault for t in evidence.trace.control for fault in _faults(t)]
    if control:
        summary = f"The faithful control looks faulty as well: {control[0].what}."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    faults = [fault for t in traces for fault in _faults(t)]
    statistic = Statistic(
        name="pairs with another input",
        value=len({f.pair for f in faults}),
        threshold=0,
        good_side="below",
        n=len(traces),
    )
    if not faults:
        return Finding(verdict=Verdict.PASS, summary=_passed(traces), statistics=[statistic])
    first = faults[0]
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"Not the given input: {first.what}.",
        detail=sorted({f"{f.what} {f.place}" for f in faults}),
        statistics=[statistic],
        samples=sorted({f.pair for f in faults}),
        locations=locations((f.place, f.what) for f in faults),
        figures=[*source_figure(evidence.trace.sources, first.place, "Where it enters the model.")],
        witness=witness(evidence.roles, "P103", first.pair),
    )


def _passed(traces: tuple[PairTrace, ...]) -> str:
    rows = sum(p.rows for t in traces for p in t.passes if p.tower == "image")
    given = sum(p.given_rows for t in traces for p in t.passes if p.tower == "image")
    probes = rows - given
    also = f", and {plural(probes, 'altered picture')} as probes" if probes else ""
    return f"The given pixels and token ids reached the first layers{also}."


def _faults(trace: PairTrace) -> list[Fault]:
    faults = []
    for tower in ("image", "text"):
        passes = [p for p in trace.passes if p.tower == tower and p.relevant]
        if not passes or any(p.given_rows for p in passes):
            continue
        same_shape = [p for p in passes if p.shape[1:] == p.expected_shape[1:]]
        probes = any(p.surrounds_given and p.distinct_rows >= FEWEST_PROBES for p in same_shape)
        if not probes:
            faults.append(_other_input(trace, tower, passes))
    return faults


def _other_input(trace: PairTrace, tower: str, passes: list[PassRecord]) -> Fault:
    if tower == "text":
        what = "the token ids that reach the text tower are not the pair's"
        return Fault(trace.pair, what, passes[0].place)
    other = [p for p in passes if p.shape[1:] != p.expected_shape[1:]]
    if other:
        got, expected = other[0].shape[2:], other[0].expected_shape[2:]
        what = (
            f"pictures of {'x'.join(map(str, got))} pixels reach the first layer, the model was "
            f"given {'x'.join(map(str, expected))}"
        )
        return Fault(trace.pair, what, other[0].place)
    first = min(passes, key=lambda p: p.smallest_difference)
    family = f" in {plural(first.distinct_rows, 'picture')}" if first.distinct_rows > 1 else ""
    what = (
        f"other pixels than the given ones reach the first layer{family} (mean absolute difference "
        f"{first.smallest_difference:.3g} in normalized units)"
    )
    return Fault(trace.pair, what, first.place)


CHECK = Check(
    id="P103",
    name="input-unchanged",
    title="Do the given pixels and token ids reach the model's first layers?",
    failure_title="The explainer explains another input",
    severity=Severity.ERROR,
    needs=frozenset({"trace"}),
    thresholds={},
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
