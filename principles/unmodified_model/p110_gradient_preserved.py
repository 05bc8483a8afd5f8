"""P110 gradient-preserved.

What it does: Takes each gradient that the explainer took once more on the untouched model: what the
explainer makes of the model's outputs is run again with autograd on, then the model itself, and the
gradient by the same state (the pixels, a block's input, an attention) must come out, to what
rounding explains in this run. So must gradients that come to hooks on modules and tensors, and
those that tensors keep. What runs within a backward pass, as the rules of relevance propagation do,
is judged here, by the gradients that it gives.

Why it matters: Guided backpropagation, relevance propagation rules, clamped and detached gradients
are methods of their own. Their maps are no gradients of the model's score, whatever one thinks of
them, and whoever reads the map should know.

How to fix it: Where a gradient is meant, remove custom autograd functions and hooks that return
another gradient, and detach nothing on the way. Where the rule is the method, say so, and waive
this check with that reason.

What a pass does not show: That the score is the model's (see P104), nor that the map follows the
gradients.
"""

from __future__ import annotations

from audit.evidence.kinds import Roles, TraceEvidence
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic
from audit.result.wording import counted, percent
from audit.trace.records import GradientRecord
from principles.check import Check
from principles.finding_parts import listed, locations, source_figure, witness
from principles.unmodified_model import remedies


def judge(trace: TraceEvidence, roles: Roles) -> Finding:
    """Violated where a gradient that the explanation reads is not the model's own."""
    read = [(t.pair, g) for t in trace.traces for g in t.gradients if g.relevant]
    if not read:
        return _nothing_read(trace)
    others = [(pair, g) for pair, g in read if not g.own]
    control = [g for t in trace.control for g in t.gradients if not g.own]
    statistic = Statistic(
        name="gradients that are not the model's",
        value=len(others),
        threshold=0,
        good_side="below",
        n=len(read),
    )
    if others and control:
        summary = f"The gradients of the faithful control differ as well: by {control[0].by}."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=[statistic])
    if not others:
        summary = f"Every gradient is the model's own ({counted(len(read), 'gradient')} compared)."
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=[statistic])
    pair, first = max(others, key=lambda one: one[1].error or 0.0)
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=f"A modified backward pass: {_words(first)}.",
        detail=sorted({f"{_words(g)} {g.place}" for _, g in others}),
        statistics=[statistic],
        samples=sorted({p for p, _ in others}),
        locations=locations((g.place, _words(g)) for _, g in others),
        figures=[*source_figure(trace.sources, first.place, "Where the gradient is taken.")],
        witness=witness(roles, "P110", pair),
        remedy=remedies.of_gradient(first),
    )


def _nothing_read(trace: TraceEvidence) -> Finding:
    """Why no gradient was compared: there is none, or of another score, or by no known state."""
    every = [(t, s) for t in trace.traces for s in t.scalars if s.source == "gradient"]
    taken = [s for t, s in every if s.relevant and t.map_of_gradient]
    if every and not taken:
        why = "The map is made of no gradient; those that are taken only decide what it is made of."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=why)
    if any(s.clean for s in taken):
        why = "No gradient could be compared: none is by the pixels or by a state of the model."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=why)
    why = (
        "The gradient is of a score that is no function of the model's outputs: see P104."
        if taken
        else "The explainer takes no gradient."
    )
    return Finding(verdict=Verdict.NOT_APPLICABLE, summary=why)


def _words(g: GradientRecord) -> str:
    off = "" if g.error is None else f", off by {percent(g.error)} (relative L2)"
    how = f"; on the way lies {listed([g.rule], 1)}" if g.rule else ""
    return f"the gradient by {g.by} is not the model's{off}{how}"


CHECK = Check(
    id="P110",
    name="gradient-preserved",
    title="Is every gradient that the explainer reads the model's own?",
    failure_title="The explainer reads modified gradients",
    severity=Severity.WARNING,
    reference="Sixt, Granz and Landgraf 2020 (arXiv 1912.09818); Cui and Fan 2026, principle 1",
    judge=judge,
)
