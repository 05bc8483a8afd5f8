"""Explained scores that are not the unmodified model's score of the pair: P104."""

from __future__ import annotations

from audit.trace.records import PairTrace, ScalarRecord
from principles.unmodified_model import remedies
from principles.unmodified_model.faults import (
    FEWEST_PROBES,
    Fault,
    alteration_faults,
    attention_faults,
    probes_only,
)

NO_TOLERANCE = -1.0  # within which no value is
_OF_ANOTHER = "it is the model's score of another target than the pair's"
_FOREIGN = "values of unknown origin are mixed into a feature"


def score_faults(trace: PairTrace, tolerance: float) -> list[Fault]:
    """Scalars that are not the model's score; without a scalar, the passes behind the map.

    Args:
        trace: of a pair.
        tolerance: difference of a score that is no fault.
    """
    scalars = [s for s in trace.scalars if s.of_model] or list(trace.scalars)
    found = [(s, _why(s, trace, tolerance)) for s in scalars]
    faults = [
        Fault(trace.pair, why, s.cause or s.place, _remedy(trace, s.place, why))
        for s, why in found
        if why
    ]
    if scalars and not faults:
        faults = [Fault(trace.pair, _FOREIGN, p, _remedy(trace, p, "")) for p in trace.foreign]
    if faults or any(s.source == "gradient" for s in scalars):
        return faults
    places = [a.place for a in attention_faults(trace)]
    places += [a.place for a in alteration_faults(trace)]
    what = "the scores behind the map come from a modified pass of the model"
    faults = [
        Fault(trace.pair, what, place, _remedy(trace, place, what))
        for place in places[:1]
        if trace.map_of_score
    ]
    return faults or _probed_faults(trace)


def explains_a_score(trace: PairTrace) -> bool:
    """Whether the explainer computes any score; what tokens say one by one of a text is none."""
    return bool(trace.scalars) or (trace.map_of_score and not trace.map_of_readout)


def reads_out(trace: PairTrace) -> bool:
    """Whether the map is made of what tokens of the model say of the target, one by one."""
    surrogates = any(a.surrogate and a.relevant for a in trace.alterations)
    return trace.map_of_readout and (trace.map_of_score or surrogates)


def _why(scalar: ScalarRecord, trace: PairTrace, tolerance: float) -> str:
    """Why a scalar is not the model's score of the pair; empty where it is."""
    if scalar.error is not None and scalar.error <= tolerance:
        return ""
    if scalar.clean and scalar.of_pair:
        return ""
    if scalar.clean and any(s.clean and s.of_pair and s.relevant for s in trace.scalars):
        return ""
    if scalar.clean:
        return _OF_ANOTHER
    if probes_only(trace) and scalar.of_pair:
        return ""
    return next(iter(scalar.reasons), "its value cannot be traced to the model's features")


def _probed_faults(trace: PairTrace) -> list[Fault]:
    """Scores of many passes that are compared without a gradient."""
    what = "the compared scores are not of the model's features"
    probed = [s for s in trace.probed_scores if s.relevant and s.probes >= FEWEST_PROBES]
    faults = [
        Fault(trace.pair, f"{what}: {s.reason}", s.place, _remedy(trace, s.place, what))
        for s in probed
    ]
    if not faults and not trace.map_of_pair:
        what = "the compared scores are the model's, of another target than the pair's"
        faults.append(Fault(trace.pair, what, "", remedies.of_target("")))
    return faults


def _remedy(trace: PairTrace, place: str, why: str) -> str:
    """What to do about a score, and about what alters it upstream where that is known."""
    if why == _OF_ANOTHER:
        return remedies.of_target(place)
    causes = [remedies.of_attention(a) for a in attention_faults(trace)]
    causes += [
        remedies.of_entrance(a.tower, a.where or f"block {a.block}", a.params, a.place)
        for a in alteration_faults(trace)
    ]
    return remedies.of_score(next(iter(causes), ""), place)
