"""P103 input-unchanged.

What it does: Looks at the pixels and token ids that reach the first layer of each tower. The
picture and the text of the pair must be among them, at the model's own resolution. Families of
altered pictures around it (masks, noise, paths from a baseline) are probes and are fine: they keep
the color of each pixel on the line from a fill to the given color, or scatter around it. Two that
do neither are too few to tell. Passes that the map does not depend on do not count.

Why it matters: A resized or differently cropped picture has other tokens and interpolated
positions: its score is not the score that the model gives in production, and neither is its map.

How to fix it: Pass the images and token ids on as they are given; they are preprocessed already.
Do not resize, crop, normalize or pad them, and do not tokenize another prompt. For a finer map,
upsample the map instead of the picture. A method that needs altered inputs should draw several
around the given one.

What a pass does not show: That what follows the first layer is the model's. See P104 and P105.
"""

from __future__ import annotations

from audit.evidence.kinds import Roles, TraceEvidence
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.wording import counted
from audit.trace.records import PairTrace
from principles.check import Check
from principles.finding_parts import locations, source_figure, witness
from principles.unmodified_model.faults import faulty_control, unseen
from principles.unmodified_model.input_faults import input_faults


def judge(trace: TraceEvidence, roles: Roles) -> Finding:
    """Violated where another picture or text stands in for the given one."""
    traces = trace.traces
    if not any(t.passes for t in traces):
        if hidden := unseen(traces):
            return hidden
        summary = "No picture or text reached a first layer: the explainer does not run the model."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    if silenced := faulty_control(fault for t in trace.control for fault in input_faults(t)):
        return silenced
    faults = [fault for t in traces for fault in input_faults(t)]
    pairs = sorted({f.pair for f in faults})
    statistic = Statistic(
        name="pairs with another input",
        value=len(pairs),
        threshold=0,
        good_side="below",
        n=len(traces),
    )
    if not faults:
        return Finding(verdict=Verdict.PASS, summary=_passed(traces), statistics=[statistic])
    first = faults[0]
    certain = any(fault.certain for fault in faults)
    doubt = "" if certain else "; they may be probes, of which two are too few to tell"
    return Finding(
        verdict=Verdict.VIOLATION if certain else Verdict.INCONCLUSIVE,
        summary=f"Not the given input: {first.what}{doubt}.",
        detail=sorted({f"{f.what} {f.place}" for f in faults}),
        statistics=[statistic],
        samples=pairs,
        locations=locations((f.place, f.what) for f in faults),
        figures=[*source_figure(trace.sources, first.place, "Where it enters the model.")],
        witness=witness(roles, "P103", first.pair),
        remedy=first.remedy,
    )


def _passed(traces: tuple[PairTrace, ...]) -> str:
    rows = sum(p.rows for t in traces for p in t.passes if p.tower == "image")
    given = sum(p.given_rows for t in traces for p in t.passes if p.tower == "image")
    probes = rows - given
    also = f", and {counted(probes, 'altered picture')} as probes" if probes else ""
    texts = any(p.tower == "text" for t in traces for p in t.passes)
    what = "pixels and token ids" if texts else "pixels"
    return f"The given {what} reached the first layers{also}."


CHECK = Check(
    id="P103",
    name="input-unchanged",
    title="Do the given pixels and token ids reach the model's first layers?",
    failure_title="The explainer explains another input",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952)",
    judge=judge,
)
