"""Trace one explanation of one pair, and say what was executed in plain records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from audit.explainers.contract import (
    Explainer,
    call_explainer,
    checked_explanation,
    run_explainer,
)
from audit.interventions.draws import generator_for, redrawn
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure
from audit.trace.frames import Place
from audit.trace.instrument import Instrument
from audit.trace.integrity import Change, Integrity
from audit.trace.memory import Memory, remembered
from audit.trace.recorder import Recorder
from audit.trace.records import PairTrace
from audit.trace.rounding import Rounding
from audit.trace.summary import Returned, summarize

_SAME_MAP = 1e-5  # relative to each value of a map that is computed again


@dataclass(frozen=True)
class TracedPair:
    """The pair to trace, and the scores of the unmodified model to compare with.

    Attributes:
        id: of the pair.
        image: (1, 3, H, W).
        targets: (1, context) token ids, or (1,) class ids.
        scores: what the pair's score may be called, and its value; the score itself first.
    """

    id: str
    image: Tensor
    targets: Tensor
    scores: Mapping[str, float]


def trace_pair(
    explainer: Explainer,
    model: nn.Module,
    structure: Structure,
    pair: TracedPair,
    rounding: Rounding | None = None,
    memory: Memory | None = None,
) -> tuple[PairTrace, set[Place]]:
    """Run an explainer on one pair and record what it executes.

    Args:
        explainer: the explainer.
        model: the model that it receives.
        structure: of a deep copy of it that nobody else touches.
        pair: what to explain.
        rounding: the null control of the audit, by default measured on this pair.
        memory: what earlier calls of the explainer left behind.

    Returns:
        The trace, and the lines of source that it names.

    Raises:
        Exception: whatever the explainer raises, and what `checked_explanation` does; the library
            functions are put back first.
    """
    integrity = Integrity(model, structure.model)
    recorder = Recorder(model, structure, integrity, pair.image, pair.targets, rounding, memory)
    recorder.frames.explainer_lies_in(explainer.source_file)
    inspected, after = integrity.inspecting(explainer.explain, recorder.instrument.aside)
    try:
        with recorder.instrument:
            value = call_explainer(
                replace(explainer, explain=inspected), model, pair.image, pair.targets
            )
    finally:
        integrity.restore_library()
    maps = checked_explanation(explainer.name, value, pair.image).maps
    recorder.watch.unfinished()
    changes = recorder.watch.changes
    for change in after:
        if not any(c.path == change.path and c.what == change.what for c in changes):
            changes.setdefault(
                change, Place(explainer.source_file or "", explainer.source_line or 0)
            )
    trace = summarize(recorder, pair.id, pair.scores, _returned(value))
    if not recorder.passes.entries and not recorder.attending.calls:
        trace = replace(trace, unseen=_hidden(explainer, structure.model, pair, maps))
    return trace, _places(recorder)


def watched(work: Callable[[], Tensor], device: torch.device) -> Tensor:
    """What an explainer's work gives under the instrument, which looks at nothing here."""
    with Instrument(device):
        return work()


def first_call(
    explainer: Explainer,
    model: nn.Module,
    structure: Structure,
    images: Tensor,
    targets: Tensor,
    rounding: Rounding,
) -> tuple[list[Change], Memory]:
    """Call an explainer for the first time.

    Args:
        explainer: the explainer.
        model: a copy of the model that nobody else uses.
        structure: of a deep copy that nobody else touches.
        images: (pairs, 3, H, W).
        targets: (pairs, context).
        rounding: the null control of the audit.

    Returns:
        What it left otherwise, and what it keeps of the tensors that it computed.

    Raises:
        Exception: whatever the explainer raises, and what `run_explainer` does.
    """
    integrity = Integrity(model, structure.model)
    recorder = Recorder(model, structure, integrity, images[:1], targets[:1], rounding)
    recorder.frames.explainer_lies_in(explainer.source_file)
    inspected, changes = integrity.inspecting(explainer.explain, recorder.instrument.aside)
    try:
        with recorder.instrument:
            kept = run_explainer(replace(explainer, explain=inspected), model, images, targets)
        del kept
        return changes, remembered(recorder.lineages, recorder.passes)
    finally:
        integrity.restore_library()


def _hidden(explainer: Explainer, pristine: nn.Module, pair: TracedPair, maps: Tensor) -> str:
    """Whether a map that comes from no pass of the model depends on the model all the same."""

    def again(model: nn.Module) -> Tensor:
        integrity = Integrity(model, pristine)
        try:
            value = call_explainer(explainer, model, pair.image, pair.targets)
        finally:
            integrity.restore_library()
        return checked_explanation(explainer.name, value, pair.image).maps

    def equal(one: Tensor) -> bool:
        return one.shape == maps.shape and torch.allclose(one, maps, atol=0, rtol=_SAME_MAP)

    if not equal(again(pristine_copy(pristine).requires_grad_())):
        return ""  # its own randomness: nothing can be told from a difference
    other = pristine_copy(pristine).requires_grad_()
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            parameter.copy_(redrawn(parameter, generator_for("hidden", name)))
    if equal(again(other)):
        return ""
    return "the map depends on the model, but no pass of the model was seen"


def _returned(value: object) -> Returned:
    if isinstance(value, Tensor):
        return Returned((value,), None)
    maps = [getattr(value, name, None) for name in ("maps", "token_maps")]
    scores = getattr(value, "scores", None)
    return Returned(
        tuple(m for m in maps if isinstance(m, Tensor)),
        scores if isinstance(scores, Tensor) else None,
    )


def _places(recorder: Recorder) -> set[Place]:
    passes = recorder.passes
    lists = (
        passes.entries,
        recorder.derivatives.scalars,
        recorder.attending.seen,
        passes.alterations,
    )
    found = {one.place for seen in lists for one in seen}
    found |= {place for _, place in recorder.parameters.uses} | set(recorder.foreign)
    return {place for place in found | set(recorder.watch.changes.values()) if place.file}
