"""How far the explained scores are from the model's, as number, sentence and table: P104."""

from __future__ import annotations

from audit.evidence.kinds import TraceEvidence
from audit.result.figures import TableFigure
from audit.result.numbers import Statistic
from audit.result.wording import number
from audit.trace.records import PairTrace, ScalarRecord
from principles.finding_parts import listed
from principles.unmodified_model.faults import Fault

_MOST_DIGITS = 9


def largest_gap(trace: TraceEvidence, tolerance: float) -> Statistic:
    """The largest difference of an explained score to the model's, of those that compare."""
    gaps = [_gap(t, s, tolerance) for t in trace.traces for s in t.scalars]
    comparable = [gap for gap in gaps if gap is not None]
    return Statistic(
        name="largest difference of the explained score to the model's",
        value=max(comparable, default=None),
        threshold=tolerance,
        good_side="below",
        n=len(trace.traces),
    )


def gap_words(trace: TraceEvidence, first: Fault) -> str:
    """The explained score beside the model's where they are furthest apart, and why."""
    gaps = [
        (abs(s.values[0] - t.model_score), s.values[0], t.model_score)
        for t in trace.traces
        for s in t.scalars
        if len(s.values) == 1
    ]
    if not gaps:
        return f"The explained score is not the model's: {first.what}."
    _, explained, model = max(gaps)
    ours, theirs = _told_apart(explained, model)
    return (
        f"The explained score is not the model's: {ours} where the model gives {theirs}; "
        f"{first.what}."
    )


def _told_apart(one: float, other: float) -> tuple[str, str]:
    """Two numbers in words, with as many digits as their difference takes."""
    digits = next((d for d in range(3, _MOST_DIGITS) if number(one, d) != number(other, d)), 3)
    return number(one, digits), number(other, digits)


def worst_pair(trace: TraceEvidence) -> str:
    """The pair whose explained score is furthest from the model's."""
    gaps = {
        t.pair: max((_gap(t, s, 0.0) or 0.0 for s in t.scalars if not s.clean), default=0.0)
        for t in trace.traces
    }
    return max(gaps, key=lambda pair: gaps[pair])


def score_table(trace: TraceEvidence) -> TableFigure:
    """Each traced pair's explained scalars beside the model's score."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for one, scalar in ((t, s) for t in trace.traces for s in t.scalars):
        values = listed((number(value) for value in scalar.values), 3)
        upstream = "yes" if scalar.clean else listed(scalar.reasons, 2)
        source = "gradient" if scalar.source == "gradient" else "returned"
        known_from = rows.setdefault((one.pair, number(one.model_score), values, upstream), [])
        if source not in known_from:
            known_from.append(source)
    return TableFigure(
        title="The model's score and the explained scalar",
        caption="Each traced pair, and whether only features of the unmodified model are upstream.",
        columns=["pair", "model's score", "explained", "known from", "of the unmodified model"],
        rows=[[*row[:3], ", ".join(known), row[3]] for row, known in rows.items()],
    )


def _gap(trace: PairTrace, scalar: ScalarRecord, tolerance: float) -> float | None:
    """How far a scalar is from the model's score: the nearest kind of it, or the cosine."""
    if scalar.error is not None and (scalar.error <= tolerance or scalar.clean):
        return scalar.error if scalar.error <= tolerance else None
    return abs(scalar.values[0] - trace.model_score) if len(scalar.values) == 1 else None
