"""P103 input-unchanged.

What it does: Looks at the pixels and token ids that reach the first layer of each tower. The
picture and the text of the pair must be among them, at the model's own resolution. Families of
altered pictures around it (masks, noise, paths from a baseline) are probes and are fine.

Why it matters: A resized or differently cropped picture has other tokens and interpolated
positions: its score is not the score that the model gives in production, and neither is its map.

What a pass does not show: That what follows the first layer is the model's. See P104 and P105.
"""

from __future__ import annotations

from audit.evidence.kinds import Evidence
from audit.result import Finding, Severity, Statistic, Verdict
from audit.trace.records import PairTrace, PassRecord
from principles.check import Check, Thresholds
from principles.unmodified_model.faults import FEWEST_PROBES, Fault
from principles.words import locations, plural, source_figure, witness


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where another picture or text stands in for the given one."""
    del thresholds
    assert evidence.trace is not None  # noqa: S101 - declared in needs
    traces = evidence.trace.traces
    if not any(t.passes for t in traces):
        summary = "No picture or text reached a first layer: the explainer does not run the model."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    control = [fault for t in evidence.trace.control for fault in _faults(t)]
    if control:
        summary = f"The faithful control looks faulty as well: {control[0].what}."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    faults = [fault for t in traces for fault in _faults(t)]
    statistic = Statistic(
        name="pairs with another input", value=len({f.pair for f in faults}), threshold=0,
        good_side="below", n=len(traces),
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
    image = [p for p in trace.passes if p.tower == "image"]
    text = [p for p in trace.passes if p.tower == "text"]
    faults = []
    if image and not any(p.given_rows for p in image):
        faults += _other_picture(trace, image)
    if text and not any(p.given_rows for p in text):
        what = "the token ids that reach the text tower are not the pair's"
        faults.append(Fault(trace.pair, what, text[0].place))
    return faults


def _other_picture(trace: PairTrace, passes: list[PassRecord]) -> list[Fault]:
    other = [p for p in passes if p.shape[1:] != p.expected_shape[1:]]
    if other:
        got, expected = other[0].shape[2:], other[0].expected_shape[2:]
        what = (
            f"pictures of {'×'.join(map(str, got))} pixels reach the first layer, the model was "
            f"given {'×'.join(map(str, expected))}"
        )
        return [Fault(trace.pair, what, other[0].place)]
    if sum(p.distinct_rows for p in passes) >= FEWEST_PROBES:
        return []
    first = min(passes, key=lambda p: p.smallest_difference)
    what = (
        "other pixels than the given ones reach the first layer (mean absolute difference "
        f"{first.smallest_difference:.3g} in normalized units)"
    )
    return [Fault(trace.pair, what, first.place)]


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
