"""What besides the unmodified model a tensor descends from, in words; the first cause first."""

from __future__ import annotations

from collections.abc import Iterator

from audit.trace.lineage import Lineage, words_of
from audit.trace.observations import AlterationSeen
from audit.trace.recorder import Recorder

_MOST_PARAMETERS = 3


def reasons_of(recorder: Recorder, lineage: Lineage, *, scalar: bool = False) -> Iterator[str]:
    """Why a tensor is not the unmodified model's.

    Args:
        recorder: what was seen.
        lineage: of the tensor.
        scalar: whether it should be a score, a function of features of both towers.
    """
    cause, place = first_cause(recorder, lineage)
    if cause:
        yield f"{cause} ({place})"
    elif lineage.params:
        pooled = recorder.parameters.pooled.of_projected(lineage.params)
        yield pooled or _parameters(sorted(lineage.params))
    for number in sorted(lineage.foreign)[:1]:
        yield f"values that are no feature of the model are mixed in ({recorder.foreign[number]})"
    if scalar:
        if not cause and not lineage.params:
            inner = {
                words_of(a, recorder.structure.tower(a.tower).words(a.block))
                for a in lineage.anchors
                if not a.terminal
            }
            yield from (f"taken from an inner state: {words}" for words in sorted(inner)[:2])
        towers = {a.tower for a in lineage.anchors}
        yield from (f"independent of the {t}" for t in ("image", "text") if t not in towers)


def first_cause(recorder: Recorder, lineage: Lineage) -> tuple[str, str]:
    """The attention or the entrance that is earliest in its tower; what follows is its effect.

    Returns:
        The cause in words and the explainer's line; both empty where there is none.
    """
    causes = []
    for number in lineage.events:
        call = recorder.attending.seen[number]
        where = recorder.structure.tower(call.tower).words(call.block)
        words = f"attention of {where} of the {call.tower} tower differs"
        causes.append((call.block + 0.5, number, words, str(call.place)))
    for number in lineage.alterations | lineage.surrogates:
        one = recorder.passes.alterations[number]
        causes.append((float(one.block), number, _entered(recorder, one), str(one.place)))
    _, _, words, place = min(causes, default=(0.0, 0, "", ""))
    return words, place


def _entered(recorder: Recorder, one: AlterationSeen) -> str:
    where = recorder.structure.tower(one.tower).words(one.block)
    if one.surrogate and (pooled := recorder.parameters.pooled.of_entered(one)):
        return pooled
    what = "another state than the pooled token" if one.surrogate else "altered values"
    return f"{what} entered {where} of the {one.tower} tower"


def _parameters(paths: list[str]) -> str:
    rest = len(paths) - _MOST_PARAMETERS
    more = f" and {rest} more" if rest > 0 else ""
    return f"computed otherwise than by the model, with {', '.join(paths[:_MOST_PARAMETERS])}{more}"
