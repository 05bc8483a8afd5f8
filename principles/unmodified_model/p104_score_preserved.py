"""P104 score-preserved.

What it does: Follows the scalar whose gradient the explainer takes, or the scores it returns, back
to where they come from. It passes where it is a function of nothing but the features that the
unmodified model gives to the pair (cosine, logit, probability, margin, loss), or where its value is
the model's score to within what dtype and kernels explain. That tolerance comes from the model
against itself in this very run. Explainers that take no gradient are judged by the passes that
their maps are made of. A mean or maximum of what tokens say of the text is another score. A map of
what each of the model's own tokens says of it (patch–text similarity, a logit lens) is a readout
and explains no score; where the tokens come from an altered block, it is a modified pass.

Why it matters: A map shows where a score comes from. If the score is not the model's, the map
explains a decision that the model never made.

How to fix it: Differentiate the score that the model itself computes: call the model, or its own
encoders, on the given pair, and take the gradient of the logit or cosine. Do not recompute the last
block, pool other tokens, skip a projection or leave out the text's causal mask. If you need
values from inside, capture them with hooks during that same forward pass.

What a pass does not show: That the map says truly where the score comes from. See P106 to P108.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.evidence.kinds import Roles, TraceEvidence
from audit.result.finding import Finding, Severity, Verdict
from audit.result.wording import counted, number
from principles.check import Check
from principles.finding_parts import locations, source_figure, witness
from principles.limits import CheckLimits, NotNegative
from principles.unmodified_model.faults import faulty_control, unseen
from principles.unmodified_model.score_faults import (
    NO_TOLERANCE,
    explains_a_score,
    reads_out,
    score_faults,
)
from principles.unmodified_model.score_gaps import gap_words, largest_gap, score_table, worst_pair

_DEPARTS = "the explained score departs from the model's"


@dataclass(frozen=True)
class Limits(CheckLimits):
    """What a difference of scores is judged by."""

    least_tolerance: NotNegative = 0.0
    coarsest_tolerance: NotNegative = 1e-3


def judge(trace: TraceEvidence, roles: Roles, limits: Limits) -> Finding:
    """Violated where the explained scalar is not the unmodified model's score of the pair."""
    tolerance = max(trace.tolerance, limits.least_tolerance)
    if silenced := faulty_control(f for t in trace.control for f in score_faults(t, tolerance)):
        return silenced
    faults = [f for t in trace.traces for f in score_faults(t, tolerance)]
    if not faults and (hidden := unseen(trace.traces, score=True)):
        return hidden
    if not faults and not any(explains_a_score(t) for t in trace.traces):
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=_no_score(trace))
    statistics = [largest_gap(trace, tolerance)]
    coarse = tolerance > limits.coarsest_tolerance
    if not faults and coarse and any(score_faults(t, NO_TOLERANCE) for t in trace.traces):
        verdict, summary = Verdict.INCONCLUSIVE, _too_coarse(tolerance)
        return Finding(
            verdict=verdict,
            summary=summary,
            statistics=statistics,
            remedy="Audit with --dtype float64, or on another device.",
        )
    if not faults:
        count = sum(len(t.scalars) for t in trace.traces)
        what = counted(count, "explained scalar") if count else "the scores behind the maps"
        summary = f"The explained score is the unmodified model's ({what} traced back to it)."
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=statistics)
    source = source_figure(trace.sources, faults[0].place, f"Where {_DEPARTS}.")
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=gap_words(trace, faults[0]),
        detail=list(dict.fromkeys(f.what for f in faults)),
        statistics=statistics,
        samples=sorted({f.pair for f in faults}),
        locations=locations((f.place, _DEPARTS) for f in faults),
        figures=[score_table(trace), *source],
        witness=witness(roles, "P104", worst_pair(trace)),
        remedy=faults[0].remedy,
    )


def _no_score(trace: TraceEvidence) -> str:
    why = "the explainer never computes one (class-agnostic)"
    if any(reads_out(t) for t in trace.traces):
        why = "it shows what each of the model's own tokens says of the target, one by one"
    return f"The map explains no score: {why}."


def _too_coarse(tolerance: float) -> str:
    return (
        f"The model's score is known to {number(tolerance)} only, by the model against itself. "
        "The explained score is that close to it but cannot be traced back to the model's "
        "features, so whether it is the model's cannot be told; audit with more exact numbers "
        "(--dtype float64, or another device)."
    )


CHECK = Check(
    id="P104",
    name="score-preserved",
    title="Is the explained scalar the model's score of the pair?",
    failure_title="The explainer explains another score than the model's",
    severity=Severity.ERROR,
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952); Zhao et al. 2024, official code",
    judge=judge,
)
