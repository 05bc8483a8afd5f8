"""Turns what a recorder saw into records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audit.models.anatomy import TowerName
from audit.trace.family import covers, surrounds
from audit.trace.fingerprint import Prints
from audit.trace.frames import Place
from audit.trace.lineage import EMPTY, Lineage, union
from audit.trace.plain import plain
from audit.trace.reasons import reasons_of, words_of
from audit.trace.recorder import Recorder
from audit.trace.records import (
    AlterationRecord,
    AttentionRecord,
    ChangeRecord,
    PairTrace,
    ParameterUse,
    PassRecord,
    ScalarRecord,
)
from audit.trace.seen import AlterationSeen, Entry, ScalarSeen

_MAX_VALUES = 64
_MAX_SCALARS = 200


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
    return _Summary(recorder, pair, scores, returned).trace()


class _Summary:
    def __init__(
        self, recorder: Recorder, pair: str, scores: Mapping[str, float], returned: Returned
    ) -> None:
        self.recorder = recorder
        self.passes = recorder.passes
        self.pair = pair
        self.named_scores = scores
        self.scores = returned.scores
        telling = [m for m in returned.maps if m.numel() and not bool((m == m.flatten()[0]).all())]
        lineages = [recorder.lineages.get(m, EMPTY) for m in telling]
        self.lost = any(lineage.empty for lineage in lineages)
        self.known = bool(lineages) and not self.lost
        self.of_maps = union(lineages)
        explained = [recorder.scalars[i].lineage for i in sorted(self.of_maps.scalars)]
        self.upstream = union([self.of_maps, *explained])
        self.roots = self.passes.roots_of([a.run for a in self.upstream.anchors])

    def trace(self) -> PairTrace:
        recorder = self.recorder
        return PairTrace(
            pair=self.pair,
            model_score=self.named_scores["cosine"],
            passes=tuple(self._passes()),
            scalars=tuple(self._scalars()),
            attention=tuple(self._attention()),
            attention_calls=recorder.attending.calls,
            alterations=tuple(self._alterations()),
            foreign=tuple(sorted({str(place) for place in recorder.foreign})),
            uses=tuple(
                ParameterUse(path, str(place), calls)
                for (path, place), calls in sorted(recorder.uses.items())
            ),
            changes=tuple(
                ChangeRecord(c.kind, c.path, c.what, c.when, c.altering, str(place))
                for c, place in recorder.watch.changes.items()
            ),
            copies=tuple(f"{k}: {v}" if v else k for k, v in recorder.modules.copies.items()),
            clean_features=recorder.clean >= {"image", "text"},
            map_known=self.known,
            map_reasons=tuple(reasons_of(recorder, self.of_maps)),
            map_of_score=self._map_of_score(),
            unseen=self._unseen(),
        )

    def _unseen(self) -> str:
        """Parameters that were computed with where the map cannot be followed."""
        exports = self.recorder.exports
        if exports:
            path, place = min(exports.items(), key=lambda item: str(item[1]))
            return f"{path} leaves torch ({place})"
        blocks = {use for use in self.recorder.uses if ".resblocks." in use[0]}
        if self.lost and blocks:
            path, place = min(blocks, key=str)
            return f"own code computes with {path} ({place}), and the map has no known origin"
        return ""

    def _map_of_score(self) -> bool:
        if not self.known:
            return {e.tower for e in self.passes.entries} >= {"image", "text"}
        return {a.tower for a in self.upstream.anchors} >= {"image", "text"}

    # -- passes -----------------------------------------------------------------------------------

    def _passes(self) -> Iterator[PassRecord]:
        groups: dict[tuple[TowerName, tuple[int, ...], bool], list[Entry]] = {}
        kept = self._used_entries()
        used, towers = {id(e) for e in kept}, {e.tower for e in kept}
        for entry in self.passes.entries:
            relevant = entry.tower not in towers or id(entry) in used
            groups.setdefault((entry.tower, entry.shape[1:], relevant), []).append(entry)
        for (tower, shape, relevant), entries in groups.items():
            first = min(entries, key=lambda e: e.difference)
            rows = sum(e.shape[0] for e in entries)
            yield PassRecord(
                tower=tower,
                shape=(rows, *shape),
                expected_shape=tuple(self.recorder.given[tower].shape),
                rows=rows,
                given_rows=sum(e.given for e in entries),
                distinct_rows=distinct_rows([e.prints for e in entries]),
                smallest_difference=first.difference,
                surrounds_given=self._surrounds_given(tower, shape, entries),
                relevant=relevant,
                place=str(first.place),
            )

    def _used_entries(self) -> list[Entry]:
        """What the maps come from; inputs of another shape open no run and may always be used."""
        entries = self.passes.entries
        if not self.known:
            return entries
        return [e for e in entries if e.run in self.roots or e.difference == np.inf]

    def _surrounds_given(
        self, tower: TowerName, shape: tuple[int, ...], entries: list[Entry]
    ) -> bool:
        given = self.recorder.given[tower][0]
        samples = [e.sample for e in entries if e.sample is not None]
        if shape != given.shape or not samples:
            return False
        family = torch.cat([s.to(samples[0].dtype) for s in samples])
        if tower == "text":
            return covers(family, given)
        return surrounds(_colors(family.double()), _colors(given[None].double())[0])

    def _inputs_seen(self, tower: str) -> int:
        entries = [e for e in self.passes.entries if e.tower == tower]
        return max(distinct_rows([e.prints for e in entries]), 1)

    # -- attention and alterations ----------------------------------------------------------------

    def _attention(self) -> Iterator[AttentionRecord]:
        seen = self.recorder.attending.seen
        groups: dict[tuple[TowerName, int], list[int]] = {}
        for number, call in enumerate(seen):
            groups.setdefault((call.tower, call.block), []).append(number)
        for (tower, block), numbers in sorted(groups.items()):
            calls = [seen[n] for n in numbers]
            call = next((c for c in calls if c.executed is not None), calls[0])
            different = distinct_rows([c.prints for c in calls])
            executed, model = _row(call.executed), _row(call.model)
            yield AttentionRecord(
                tower=tower,
                block=block,
                operation=call.operation,
                executed_heads=call.heads,
                model_heads=self.recorder.anatomy.tower(tower).blocks[block].heads,
                divergence=_total_variation(executed, model),
                executed=executed,
                model=model,
                inside_model=call.inside_model,
                variants=max(different // self._inputs_seen(tower), 1),
                relevant=not self.known or any(n in self.upstream.events for n in numbers),
                place=str(call.place),
            )

    def _alterations(self) -> Iterator[AlterationRecord]:
        seen = self.passes.alterations
        groups: dict[tuple[TowerName, int, frozenset[str], bool], list[int]] = {}
        for number, one in enumerate(seen):
            key = (one.tower, one.block, one.lineage.params, one.surrogate)
            groups.setdefault(key, []).append(number)
        for (tower, block, params, surrogate), numbers in groups.items():
            alike = [seen[n] for n in numbers]
            different = distinct_rows([one.prints for one in alike])
            upstream = self.upstream.surrogates if surrogate else self.upstream.alterations
            anchors = alike[0].lineage.anchors
            yield AlterationRecord(
                tower=tower,
                block=block,
                after=tuple(sorted({words_of(a) for a in anchors})),
                params=tuple(sorted(params)),
                surrogate=surrogate,
                variants=max(different // self._inputs_seen(tower), 1),
                surrounds_model=not surrogate and self._surrounds_model(alike),
                relevant=not self.known or any(n in upstream for n in numbers),
                place=str(alike[0].place),
            )

    def _surrounds_model(self, alike: list[AlterationSeen]) -> bool:
        one = alike[0]
        tower = self.recorder.anatomy.tower(one.tower)
        given = self.passes.given_state(tower, one.block)
        samples = [a.sample for a in alike if a.sample is not None]
        fitting = [s.double() for s in samples if s.ndim == 3 and s.shape[1:] == given.shape]
        return bool(fitting) and surrounds(torch.cat(fitting), given.double())

    # -- scalars ----------------------------------------------------------------------------------

    def _scalars(self) -> Iterator[ScalarRecord]:
        """Every kind of scalar; of many alike only the first ones."""
        counts: dict[tuple[object, ...], int] = {}
        for seen in self.recorder.scalars:
            record = self._scalar(seen, "gradient")
            kind = (record.clean, record.of_pair, record.reasons, record.place)
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] <= _MAX_SCALARS:
                yield record
        if self.scores is not None:
            lineage = self.recorder.lineages.get(self.scores, EMPTY)
            yield self._scalar(ScalarSeen(plain(self.scores), lineage, Place("", 0)), "returned")

    def _scalar(self, seen: ScalarSeen, source: str) -> ScalarRecord:
        lineage = seen.lineage
        towers = {a.tower for a in lineage.anchors if a.terminal}
        terminal = bool(lineage.anchors) and all(a.terminal for a in lineage.anchors)
        values = seen.value.double().flatten()[:_MAX_VALUES].tolist()
        nearest, error = self._nearest(values)
        return ScalarRecord(
            values=tuple(values),
            source=source,
            clean=terminal and not lineage.deviates and towers == {"image", "text"},
            of_pair=self._of_pair(lineage),
            reasons=tuple(reasons_of(self.recorder, lineage, scalar=True)),
            params=tuple(sorted(lineage.params)),
            of_model=bool(lineage.anchors),
            nearest=nearest,
            error=error,
            place=str(seen.place),
        )

    def _of_pair(self, lineage: Lineage) -> bool:
        """The pair's own text is among the texts behind a scalar."""
        given = self.recorder.given["text"]
        for anchor in lineage.anchors:
            if anchor.tower == "text" and anchor.terminal:
                tokens = self.passes.runs[anchor.run].tokens
                if tokens is None or tokens.shape[1:] != given.shape[1:]:
                    return tokens is None
                if bool((tokens == given).all(-1).any()):
                    return True
        return False

    def _nearest(self, values: list[float]) -> tuple[str, float | None]:
        if len(values) != 1 or not np.isfinite(values[0]):
            return "", None
        errors = {name: abs(values[0] - score) for name, score in self.named_scores.items()}
        name = min(errors, key=lambda key: errors[key])
        return name, errors[name]


def distinct_rows(prints: list[Prints], tolerance: float = 1e-6) -> int:
    """How many different rows there are, by rounded fingerprints."""
    if not prints:
        return 0
    table = np.concatenate(prints)
    scale = np.abs(table).max(0) + 1e-30
    return len(np.unique(np.round(table / scale / tolerance), axis=0))


def _colors(pictures: Tensor) -> Tensor:
    """Pictures as places with a color each, (b, H·W, 3)."""
    return pictures.flatten(2).mT


def _row(rows: Tensor | None) -> np.ndarray | None:
    return None if rows is None else plain(rows)[0].double().cpu().numpy()


def _total_variation(executed: np.ndarray | None, model: np.ndarray | None) -> float | None:
    if executed is None or model is None:
        return None
    if len(executed) == len(model) - 1:
        model = model[1:] / max(float(model[1:].sum()), 1e-12)
    if len(executed) != len(model):
        return None
    return float(np.abs(executed - model).sum() / 2)
