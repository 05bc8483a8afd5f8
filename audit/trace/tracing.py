"""Trace one explanation of one pair, and say what was executed in plain records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from audit.explainers.contract import Explainer, call_explainer, checked_explanation
from audit.models.anatomy import TowerName
from audit.trace.frames import Place
from audit.trace.integrity import Integrity
from audit.trace.lineage import EMPTY, Lineage, union
from audit.trace.recorder import AlterationSeen, Entry, Recorder, distinct_rows
from audit.trace.records import (
    AlterationRecord,
    AttentionRecord,
    ChangeRecord,
    PairTrace,
    ParameterUse,
    PassRecord,
    ScalarRecord,
)

_MAX_VALUES = 64


@dataclass(frozen=True)
class TracedPair:
    """The pair to trace, and the scores of the unmodified model to compare with.

    Attributes:
        id: of the pair.
        image: (1, 3, H, W).
        tokens: (1, context).
        scores: what the pair's score may be called, and its value.
    """

    id: str
    image: Tensor
    tokens: Tensor
    scores: Mapping[str, float]


def trace_pair(
    explainer: Explainer, model: nn.Module, pristine: nn.Module, pair: TracedPair
) -> tuple[PairTrace, set[Place], bool]:
    """Run an explainer on one pair and record what it executes.

    Args:
        explainer: the explainer.
        model: the model that it receives.
        pristine: a deep copy of it that nobody else touches.
        pair: what to explain.

    Returns:
        The trace, the lines of source that it names, and whether the model was left as it was.

    Raises:
        Exception: whatever the explainer raises, and what `checked_explanation` does; the library
            functions are put back first.
    """
    integrity = Integrity(model, pristine)
    recorder = Recorder(model, pristine, integrity, pair.image, pair.tokens)
    try:
        with recorder:
            value = call_explainer(explainer, model, pair.image, pair.tokens)
    finally:
        after = integrity.verify()
        integrity.restore_library()
    checked_explanation(explainer.name, value, pair.image)
    for change in after:
        if not any(c.path == change.path and c.what == change.what for c in recorder.changes):
            recorder.changes.setdefault(change, Place(explainer.source_file or "", 0))
    maps = value if isinstance(value, Tensor) else getattr(value, "maps", None)
    scores = getattr(value, "scores", None) if not isinstance(value, Tensor) else None
    return _Summary(recorder, pair, maps, scores).trace(), _places(recorder), not after


def _places(recorder: Recorder) -> set[Place]:
    lists = (recorder.entries, recorder.scalars, recorder.attention, recorder.alterations)
    found = {one.place for seen in lists for one in seen}
    found |= {place for _, place in recorder.uses} | set(recorder.foreign)
    return {place for place in found | set(recorder.changes.values()) if place.file}


class _Summary:
    """Turns what a recorder saw into records."""

    def __init__(
        self, recorder: Recorder, pair: TracedPair, maps: object, scores: object
    ) -> None:
        self.recorder = recorder
        self.pair = pair
        self.map_lineage = (
            recorder.lineages.get(maps, EMPTY) if isinstance(maps, Tensor) else EMPTY
        )
        self.scores = scores
        lineages = [recorder.scalars[i].lineage for i in self.map_lineage.scalars]
        self.upstream = union([self.map_lineage, *lineages])
        self.known = not self.map_lineage.empty
        self.entries = {
            tower: [e for e in recorder.entries if e.tower == tower] for tower in ("image", "text")
        }

    def trace(self) -> PairTrace:
        recorder = self.recorder
        scalars = [self._scalar(s.value, s.lineage, "gradient", s.place) for s in recorder.scalars]
        if isinstance(self.scores, Tensor):
            lineage = recorder.lineages.get(self.scores, EMPTY)
            scalars.append(self._scalar(self.scores, lineage, "returned", Place("", 0)))
        return PairTrace(
            pair=self.pair.id,
            model_score=self.pair.scores["cosine"],
            passes=tuple(self._pass(entry) for entry in recorder.entries),
            scalars=tuple(scalars),
            attention=tuple(self._attention()),
            attention_calls=recorder.attention_calls,
            alterations=tuple(self._alterations()),
            foreign=tuple(sorted({str(place) for place in recorder.foreign})),
            uses=tuple(
                ParameterUse(path, str(place), calls)
                for (path, place), calls in sorted(recorder.uses.items())
            ),
            changes=tuple(
                ChangeRecord(c.kind, c.path, c.what, c.when, c.altering, str(place))
                for c, place in recorder.changes.items()
            ),
            copies=tuple(f"{k}: {v}" if v else k for k, v in recorder.copies.items()),
            clean_features=recorder.clean >= {"image", "text"},
            map_known=self.known,
            map_reasons=tuple(self._reasons(self.map_lineage)),
        )

    # -- passes -----------------------------------------------------------------------------------

    def _pass(self, entry: Entry) -> PassRecord:
        given = self.recorder.given[entry.tower]
        same_shape = entry.inputs.shape[1:] == given.shape[1:]
        difference = float("inf")
        equal = 0
        rows = entry.inputs.reshape(len(entry.inputs), -1)
        if same_shape:
            distance = (entry.inputs.double() - given.double()).abs().flatten(1).mean(1)
            difference = float(distance.min())
            equal = int((distance <= _input_tolerance(entry.inputs)).sum())
        return PassRecord(
            tower=entry.tower,
            shape=tuple(entry.inputs.shape),
            expected_shape=tuple(given.shape),
            rows=len(rows),
            given_rows=equal,
            distinct_rows=len(torch.unique(rows.double().cpu(), dim=0)),
            smallest_difference=difference,
            place=str(entry.place),
        )

    def _inputs_seen(self, tower: str) -> int:
        rows = [e.inputs.double().flatten(1).cpu() for e in self.entries[tower]]
        shapes = {r.shape[1] for r in rows}
        return max(sum(len(torch.unique(torch.cat([r for r in rows if r.shape[1] == s]), dim=0))
                       for s in shapes), 1)

    # -- attention and alterations ------------------------------------------------------------------

    def _attention(self) -> Iterable[AttentionRecord]:
        seen = self.recorder.attention
        groups: dict[tuple[TowerName, int], list[int]] = {}
        for number, call in enumerate(seen):
            groups.setdefault((call.tower, call.block), []).append(number)
        anatomy = self.recorder.anatomy
        for (tower, block), numbers in sorted(groups.items()):
            different = distinct_rows([seen[n].prints for n in numbers])
            variants = different // self._inputs_seen(tower)
            relevant = not self.known or any(n in self.upstream.events for n in numbers)
            calls = [seen[n] for n in numbers]
            call = next((c for c in calls if c.executed is not None), calls[0])
            executed, model = _row(call.executed), _row(call.model)
            yield AttentionRecord(
                tower=tower,
                block=block,
                operation=call.operation,
                executed_heads=call.heads,
                model_heads=anatomy.tower(tower).blocks[block].heads,
                divergence=_total_variation(executed, model),
                executed=executed,
                model=model,
                inside_model=call.inside_model,
                variants=max(variants, 1),
                relevant=relevant,
                place=str(call.place),
            )

    def _alterations(self) -> Iterable[AlterationRecord]:
        seen = self.recorder.alterations
        groups: dict[tuple[TowerName, int, frozenset[str], bool], list[int]] = {}
        for number, one in enumerate(seen):
            key = (one.tower, one.block, one.lineage.params, one.surrogate)
            groups.setdefault(key, []).append(number)
        for (tower, block, params, surrogate), numbers in groups.items():
            different = distinct_rows([seen[n].prints for n in numbers])
            upstream = self.upstream.surrogates if surrogate else self.upstream.alterations
            one: AlterationSeen = seen[numbers[0]]
            yield AlterationRecord(
                tower=tower,
                block=block,
                after=tuple(sorted({_words(a.tower, a.block, a.site) for a in one.lineage.anchors})),
                params=tuple(sorted(params)),
                surrogate=surrogate,
                variants=max(different // self._inputs_seen(tower), 1),
                relevant=not self.known or any(n in upstream for n in numbers),
                place=str(one.place),
            )

    # -- scalars ------------------------------------------------------------------------------------

    def _scalar(self, value: Tensor, lineage: Lineage, source: str, place: Place) -> ScalarRecord:
        runs = {(a.tower, a.run) for a in lineage.anchors if a.terminal}
        towers = {tower for tower, _ in runs}
        terminal = bool(lineage.anchors) and all(a.terminal for a in lineage.anchors)
        clean = terminal and not lineage.deviates and towers == {"image", "text"}
        values = value.detach().double().flatten()[:_MAX_VALUES].tolist()
        nearest, error = self._nearest(values)
        return ScalarRecord(
            values=tuple(values),
            source=source,
            clean=clean,
            of_pair=self._of_pair(lineage),
            reasons=tuple(self._reasons(lineage, scalar=True)),
            params=tuple(sorted(lineage.params)),
            of_model=bool(lineage.anchors),
            nearest=nearest,
            error=error,
            place=str(place),
        )

    def _of_pair(self, lineage: Lineage) -> bool:
        """The pair's own text is among the texts behind a scalar."""
        given = self.recorder.given["text"]
        for anchor in lineage.anchors:
            if anchor.tower == "text" and anchor.terminal:
                tokens = self.recorder.runs[anchor.run].tokens
                if tokens is None or bool((tokens == given).all(-1).any()):
                    return True
        return False

    def _nearest(self, values: list[float]) -> tuple[str, float | None]:
        if len(values) != 1 or not np.isfinite(values[0]):
            return "", None
        errors = {name: abs(values[0] - score) for name, score in self.pair.scores.items()}
        name = min(errors, key=lambda key: errors[key])
        return name, errors[name]

    def _reasons(self, lineage: Lineage, *, scalar: bool = False) -> Iterable[str]:
        recorder = self.recorder
        for number in sorted(lineage.events):
            call = recorder.attention[number]
            yield f"attention of {call.tower} block {call.block} differs ({call.place})"
        for number in sorted(lineage.alterations | lineage.surrogates):
            one = recorder.alterations[number]
            yield f"{_entered(recorder, one)} ({one.place})"
        for path in sorted(lineage.params):
            yield f"parameter {path} applied by the explainer's own code"
        for number in sorted(lineage.foreign):
            yield f"values of unknown origin mixed into a feature ({recorder.foreign[number]})"
        if scalar:
            inner = {_words(a.tower, a.block, a.site) for a in lineage.anchors if not a.terminal}
            yield from (f"taken from an inner state: {words}" for words in sorted(inner))
            towers = {a.tower for a in lineage.anchors}
            yield from (f"independent of the {t}" for t in ("image", "text") if t not in towers)


def _entered(recorder: Recorder, one: AlterationSeen) -> str:
    blocks = len(recorder.anatomy.tower(one.tower).blocks)
    where = "the final norm" if one.block == blocks else f"block {one.block}"
    what = "another state than the pooled token" if one.surrogate else "altered values"
    return f"{what} entered {where} of the {one.tower} tower"


def _words(tower: str, block: int, site: str) -> str:
    return f"{tower} block {block} {site}"


def _row(rows: Tensor | None) -> np.ndarray | None:
    return None if rows is None else rows[0].detach().double().cpu().numpy()


def _total_variation(executed: np.ndarray | None, model: np.ndarray | None) -> float | None:
    if executed is None or model is None:
        return None
    if len(executed) == len(model) - 1:
        model = model[1:] / max(float(model[1:].sum()), 1e-12)
    if len(executed) != len(model):
        return None
    return float(np.abs(executed - model).sum() / 2)


def _input_tolerance(inputs: Tensor) -> float:
    return {torch.float16: 2e-3, torch.bfloat16: 1e-2}.get(inputs.dtype, 1e-6)
