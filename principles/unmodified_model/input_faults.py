"""Pictures and texts that stand in for the given ones at the model's first layers: P103."""

from __future__ import annotations

from audit.result.wording import counted, number
from audit.trace.records import PairTrace, PassRecord
from principles.unmodified_model import remedies
from principles.unmodified_model.faults import Fault

FEWEST_PICTURES = 2  # of two that lie otherwise than draws of noise nobody can tell


def input_faults(trace: PairTrace) -> list[Fault]:
    """Per tower, that its given input reached no first layer and no family of probes surrounds it.

    Passes that the map does not depend on do not count.
    """
    faults = []
    for tower in ("image", "text"):
        passes = [p for p in trace.passes if p.tower == tower and p.relevant]
        if not passes or any(p.given_rows for p in passes):
            continue
        same_shape = [p for p in passes if p.shape[1:] == p.expected_shape[1:]]
        if not any(p.surrounds_given and p.distinct_rows >= FEWEST_PICTURES for p in same_shape):
            faults.append(_other_input(trace, tower, passes))
    return faults


def _other_input(trace: PairTrace, tower: str, passes: list[PassRecord]) -> Fault:
    if tower == "text":
        what = "the token ids that reach the text tower are not the pair's"
        place = passes[0].place
        return Fault(trace.pair, what, place, remedies.of_text(place))
    other = [p for p in passes if p.shape[1:] != p.expected_shape[1:]]
    if other:
        got, expected = other[0].shape[2:], other[0].expected_shape[2:]
        what = (
            f"pictures of {'x'.join(map(str, got))} pixels reach the first layer, the model was "
            f"given {'x'.join(map(str, expected))}"
        )
        place = other[0].place
        return Fault(trace.pair, what, place, remedies.of_size(expected, place))
    first = min(passes, key=lambda p: p.smallest_difference)
    family = f" in {counted(first.distinct_rows, 'picture')}" if first.distinct_rows > 1 else ""
    certain = not 1 < first.distinct_rows <= FEWEST_PICTURES
    what = (
        f"other pixels than the given ones reach the first layer{family} (mean absolute difference "
        f"{number(first.smallest_difference)} in normalized units)"
    )
    mend = remedies.of_pixels(first.place)
    return Fault(trace.pair, what, first.place, mend, certain=certain)
