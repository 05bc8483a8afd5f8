"""Turns what a recorder saw into records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from audit.trace.deviation_records import DeviationRecords
from audit.trace.map_origin import MapOrigin, distinct_prints
from audit.trace.pass_records import PassRecords
from audit.trace.reasons import reasons_of
from audit.trace.recorder import Recorder
from audit.trace.records import (
    ChangeRecord,
    GradientRecord,
    PairTrace,
    ParameterUse,
    ProbedScoreRecord,
)
from audit.trace.scalar_records import ScalarRecords


@dataclass(frozen=True)
class Returned:
    """What an explainer returned: its maps, and the scores where it tells them."""

    maps: tuple[Tensor, ...]
    scores: Tensor | None


def summarize(
    recorder: Recorder, pair: str, scores: Mapping[str, float], returned: Returned
) -> PairTrace:
    """The records of one explanation.

    Args:
        recorder: after the explainer has returned.
        pair: id of the pair.
        scores: what the pair's score may be called, and its value.
        returned: by the explainer.
    """
    descent = MapOrigin(recorder, returned.maps)
    deviations = DeviationRecords(recorder, descent)
    scalars = ScalarRecords(recorder, descent, scores, returned.scores)
    of_pair = scalars.of_pair(descent.upstream)
    return PairTrace(
        pair=pair,
        model_score=next(iter(scores.values())),
        passes=tuple(PassRecords(recorder, descent).records()),
        scalars=tuple(scalars.records()),
        attention=tuple(deviations.attention()),
        attention_calls=recorder.attending.calls,
        alterations=tuple(deviations.alterations()),
        foreign=tuple(sorted({str(place) for place in recorder.foreign})),
        uses=tuple(
            ParameterUse(path, str(place), calls)
            for (path, place), calls in sorted(recorder.parameters.uses.items())
        ),
        changes=tuple(
            ChangeRecord(c.kind, c.path, c.what, c.when, c.altering, str(place))
            for c, place in recorder.watch.changes.items()
        ),
        copies=tuple(f"{k}: {v}" if v else k for k, v in recorder.modules.copies.items()),
        clean_features=recorder.anchored.clean >= set(recorder.given),
        map_known=descent.known,
        map_reasons=tuple(reasons_of(recorder, descent.of_maps)),
        map_of_score=_map_of_score(recorder, descent),
        map_of_pair=not descent.known or of_pair or not _ends(descent),
        map_of_gradient=not descent.known or bool(descent.upstream.scalars),
        map_of_readout=descent.known and _is_readout(descent),
        probed_scores=tuple(_probed_scores(recorder, descent)),
        unseen=_unseen(recorder, descent),
        unknown_score=_unknown(recorder, descent, mixed=True),
        gradients=tuple(
            GradientRecord(
                by=one.by,
                own=one.own,
                error=one.error,
                rule=one.rule,
                relevant=not descent.known or one.scalar in descent.of_maps.scalars,
                place=str(one.place),
            )
            for one in recorder.derivatives.gradients.seen
        ),
    )


def _unknown(recorder: Recorder, descent: MapOrigin, *, mixed: bool) -> str:
    """Values of unknown origin behind the map, those mixed into features or the others."""
    for number in sorted(descent.upstream.unknown):
        entered = recorder.origins.unknown[number]
        if entered.mixed == mixed:
            return f"values of unknown origin enter at {entered.place}: {entered.why}"
    return ""


def _unseen(recorder: Recorder, descent: MapOrigin) -> str:
    """Parameters that were computed with where the map cannot be followed."""
    if recorder.exports:
        path, place = min(recorder.exports.items(), key=lambda item: str(item[1]))
        return f"{path} leaves torch ({place})"
    if unknown := _unknown(recorder, descent, mixed=False):
        return unknown
    if descent.lost and recorder.origins.process is not None:
        event, place = recorder.origins.process
        return f"the map has no known origin, and another process was started ({event}, {place})"
    if descent.from_nowhere and (recorder.passes.entries or recorder.attending.calls):
        return "no operation that was seen made the map"
    blocks = {use for use in recorder.parameters.uses if recorder.structure.in_block(use[0])}
    if descent.lost and blocks:
        path, place = min(blocks, key=str)
        return f"own code computes with {path} ({place}), and the map has no known origin"
    return ""


def _map_of_score(recorder: Recorder, descent: MapOrigin) -> bool:
    if not descent.known:
        return {e.tower for e in recorder.passes.entries} >= set(recorder.given)
    return {a.tower for a in descent.upstream.anchors} >= {"image", "text"}


def _is_readout(descent: MapOrigin) -> bool:
    """Whether the map holds what inner states of the picture say of the text, token by token."""
    lineage = descent.upstream
    pictures = [a for a in lineage.anchors if a.tower == "image"]
    inner = bool(lineage.surrogates) or not any(a.terminal for a in pictures)
    return inner and not lineage.scalars and not descent.scores


def _ends(descent: MapOrigin) -> bool:
    """Whether the map is made of features of both towers alone."""
    anchors = descent.upstream.anchors
    return all(a.terminal for a in anchors) and len({a.tower for a in anchors}) == 2


def _probed_scores(recorder: Recorder, descent: MapOrigin) -> Iterator[ProbedScoreRecord]:
    for score in (*recorder.probed.seen.values(), *recorder.probed.reduced.values()):
        inputs = distinct_prints(recorder.probed.inputs_behind(score))
        if score.number is None:
            used = not descent.known or score.lineage.anchors <= descent.upstream.anchors
        else:
            used = score.number in descent.scores
        yield ProbedScoreRecord(
            reason=next(iter(reasons_of(recorder, score.lineage, scalar=True)), ""),
            probes=max(inputs, len(score.alterations)),
            relevant=used,
            place=str(score.place),
        )
