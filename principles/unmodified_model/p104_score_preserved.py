"""P104 score-preserved.

What it does: Follows the scalar whose gradient the explainer takes, or the scores it returns, back
to where they come from. It passes where it is a function of nothing but the features that the
unmodified model gives to the pair (cosine, logit, probability, margin, loss), or where its value is
the model's score to within what dtype and kernels explain. That tolerance comes from the model
against itself in this very run. Explainers that take no gradient are judged by the passes that
their maps are made of.

Why it matters: A map shows where a score comes from. If the score is not the model's, the map
explains a decision that the model never made.

What a pass does not show: That the map says truly where the score comes from. See P106 to P108.
"""

from __future__ import annotations

from audit.evidence.kinds import Evidence, TraceEvidence
from audit.result.schema import Finding, Severity, Statistic, TableFigure, Verdict
from audit.trace.records import PairTrace, ScalarRecord
from principles.check import Check, Thresholds
from principles.finding_parts import listed, locations, number, plural, source_figure, witness
from principles.unmodified_model.faults import (
    FEWEST_PROBES,
    Fault,
    alteration_faults,
    attention_faults,
    scalar_fault,
    unseen,
)


def judge(evidence: Evidence, thresholds: Thresholds) -> Finding:
    """Violated where the explained scalar is not the unmodified model's score of the pair."""
    trace = evidence.trace
    assert trace is not None  # noqa: S101 - declared in needs
    tolerance = max(trace.tolerance, float(thresholds["least_tolerance"]))
    control = [f for t in trace.control for f in _faults(t, tolerance)]
    if control:
        summary = f"The faithful control looks faulty as well: {control[0].what}."
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary)
    faults = [f for t in trace.traces for f in _faults(t, tolerance)]
    if not faults and (hidden := unseen(trace.traces)):
        return hidden
    if not faults and not any(_explains_a_score(t) for t in trace.traces):
        summary = "The map explains no score: the explainer never computes one (class-agnostic)."
        return Finding(verdict=Verdict.NOT_APPLICABLE, summary=summary)
    statistics = [_statistic(trace, tolerance)]
    coarse = tolerance > float(thresholds["coarsest_tolerance"])
    if not faults and coarse and any(_faults(t, _NONE) for t in trace.traces):
        summary = (
            f"The model's score is known to {number(tolerance)} only, by the model against itself. "
            "The explained score is that close to it but cannot be traced back to the model's "
            "features, so whether it is the model's cannot be told; audit with more exact numbers "
            "(--dtype float64, or another device)."
        )
        return Finding(verdict=Verdict.INCONCLUSIVE, summary=summary, statistics=statistics)
    if not faults:
        count = sum(len(t.scalars) for t in trace.traces)
        what = plural(count, "explained scalar") if count else "the scores behind the maps"
        summary = f"The explained score is the unmodified model's ({what} traced back to it)."
        return Finding(verdict=Verdict.PASS, summary=summary, statistics=statistics)
    first = faults[0]
    return Finding(
        verdict=Verdict.VIOLATION,
        summary=_summary(trace, first),
        detail=list(dict.fromkeys(f.what for f in faults)),
        statistics=statistics,
        samples=sorted({f.pair for f in faults}),
        locations=locations(
            (f.place, "the explained score departs from the model's") for f in faults
        ),
        figures=[
            _table(trace),
            *source_figure(
                trace.sources, first.place, "Where the explained score departs from the model's."
            ),
        ],
        witness=witness(evidence.roles, "P104", _worst(trace)),
    )


def _faults(trace: PairTrace, tolerance: float) -> list[Fault]:
    scalars = [s for s in trace.scalars if s.of_model] or list(trace.scalars)
    if scalars:
        found = [(s, scalar_fault(s, trace, tolerance)) for s in scalars]
        faults = [Fault(trace.pair, why, s.cause or s.place) for s, why in found if why]
        return [*faults, *(Fault(trace.pair, _FOREIGN, p) for p in trace.foreign if not faults)]
    places = [a.place for a in attention_faults(trace)]
    places += [a.place for a in alteration_faults(trace)]
    what = "the scores behind the map come from a modified pass of the model"
    faults = [Fault(trace.pair, what, place) for place in places[:1] if trace.map_of_score]
    return faults or _probed_faults(trace)


def _probed_faults(trace: PairTrace) -> list[Fault]:
    """Scores of many passes that are compared without a gradient."""
    what = "the compared scores are not of the model's features"
    probed = [s for s in trace.probed_scores if s.relevant and s.probes >= FEWEST_PROBES]
    faults = [Fault(trace.pair, f"{what}: {s.reason}", s.place) for s in probed]
    if not faults and not trace.map_of_pair:
        what = "the compared scores are the model's, of another text than the pair's"
        faults.append(Fault(trace.pair, what, ""))
    return faults


_NONE = -1.0  # a tolerance within which no value is
_FOREIGN = "values of unknown origin are mixed into a feature"


def _explains_a_score(trace: PairTrace) -> bool:
    return bool(trace.scalars) or trace.map_of_score


def _gap(trace: PairTrace, scalar: ScalarRecord, tolerance: float) -> float | None:
    """How far a scalar is from the model's score: the nearest kind of it, or the cosine."""
    if scalar.error is not None and (scalar.error <= tolerance or scalar.clean):
        return scalar.error if scalar.error <= tolerance else None
    return abs(scalar.values[0] - trace.model_score) if len(scalar.values) == 1 else None


def _statistic(trace: TraceEvidence, tolerance: float) -> Statistic:
    gaps = [_gap(t, s, tolerance) for t in trace.traces for s in t.scalars]
    comparable = [gap for gap in gaps if gap is not None]
    return Statistic(
        name="largest difference of the explained score to the model's",
        value=max(comparable, default=None),
        threshold=tolerance,
        good_side="below",
        n=len(trace.traces),
    )


def _summary(trace: TraceEvidence, first: Fault) -> str:
    gaps = [
        (abs(s.values[0] - t.model_score), s.values[0], t.model_score)
        for t in trace.traces
        for s in t.scalars
        if len(s.values) == 1
    ]
    if not gaps:
        return f"The explained score is not the model's: {first.what}."
    _, explained, model = max(gaps)
    return (
        f"The explained score is not the model's: {number(explained)} where the model gives "
        f"{number(model)}; {first.what}."
    )


def _worst(trace: TraceEvidence) -> str:
    gaps = {
        t.pair: max((_gap(t, s, 0.0) or 0.0 for s in t.scalars if not s.clean), default=0.0)
        for t in trace.traces
    }
    return max(gaps, key=lambda pair: gaps[pair])


def _table(trace: TraceEvidence) -> TableFigure:
    rows = [
        [
            t.pair,
            number(t.model_score),
            listed((number(v) for v in s.values), 3),
            "gradient" if s.source == "gradient" else "returned",
            "yes" if s.clean else listed(s.reasons, 2),
        ]
        for t in trace.traces
        for s in t.scalars
    ]
    return TableFigure(
        title="The model's cosine and the explained scalar",
        caption="Each traced pair, and whether only features of the unmodified model are upstream.",
        columns=["pair", "model's cosine", "explained", "known from", "of the unmodified model"],
        rows=rows,
    )


CHECK = Check(
    id="P104",
    name="score-preserved",
    title="Is the explained scalar the model's score of the pair?",
    failure_title="The explainer explains another score than the model's",
    severity=Severity.ERROR,
    needs=frozenset({"trace"}),
    thresholds={"least_tolerance": 0.0, "coarsest_tolerance": 1e-3},
    reference="Cui and Fan 2026, principle 1 (arXiv 2605.12952); Zhao et al. 2024, official code",
    judge=judge,
)
