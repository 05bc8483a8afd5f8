"""Records of the scalars that an explainer differentiates or returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from audit.models.unwrapped_values import plain
from audit.trace.frames import Place
from audit.trace.lineage import Lineage, union
from audit.trace.map_origin import MapOrigin
from audit.trace.observations import ScalarSeen
from audit.trace.reasons import first_cause, reasons_of
from audit.trace.recorder import Recorder
from audit.trace.records import ScalarRecord
from audit.trace.shorter_texts import is_shorter, same_up_to_the_end

_MAX_VALUES = 64
_MAX_SCALARS = 200


class ScalarRecords:
    """Turns scalars into records.

    Args:
        recorder: after the explainer has returned.
        descent: of its maps.
        named: what the pair's score may be called, and its value.
        scores: what the explainer returned as scores, if it did.
    """

    def __init__(
        self,
        recorder: Recorder,
        descent: MapOrigin,
        named: Mapping[str, float],
        scores: Tensor | None,
    ) -> None:
        self._recorder = recorder
        self._passes = recorder.passes
        self._descent = descent
        self._named = named
        self._scores = scores

    def records(self) -> Iterator[ScalarRecord]:
        """Every kind of scalar; of many alike only the first ones."""
        counts: dict[tuple[object, ...], int] = {}
        for number, seen in enumerate(self._recorder.derivatives.scalars):
            used = not self._descent.of_maps.scalars or number in self._descent.of_maps.scalars
            record = self._scalar(seen, "gradient", relevant=used)
            kind = (record.clean, record.of_pair, record.relevant, record.reasons, record.place)
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] <= _MAX_SCALARS:
                yield record
        if self._scores is not None:
            lineage = self._recorder.probed.whole(self._recorder.lineages.get(self._scores))
            yield self._scalar(ScalarSeen(plain(self._scores), lineage, Place("", 0)), "returned")

    def _completed(self, lineage: Lineage) -> Lineage:
        """Channels of one tower's feature, whose gradients the map joins with the other's."""
        own = {a.tower for a in lineage.anchors}
        if len(own) != 1 or not all(a.terminal for a in lineage.anchors):
            return lineage
        others = frozenset(
            a for a in self._descent.of_maps.anchors if a.terminal and a.tower not in own
        )
        return union([lineage, Lineage(anchors=others)]) if others else lineage

    def _scalar(self, seen: ScalarSeen, source: str, *, relevant: bool = True) -> ScalarRecord:
        lineage = self._completed(seen.lineage)
        towers = {a.tower for a in lineage.anchors if a.terminal}
        terminal = bool(lineage.anchors) and all(a.terminal for a in lineage.anchors)
        values = seen.value.double().flatten()[:_MAX_VALUES].tolist()
        nearest, error = self._nearest(values)
        return ScalarRecord(
            values=tuple(values),
            source=source,
            clean=terminal and not lineage.deviates and towers == {"image", "text"},
            of_pair=self.of_pair(lineage),
            reasons=tuple(reasons_of(self._recorder, lineage, scalar=True)),
            params=tuple(sorted(lineage.params)),
            block_params=tuple(sorted(filter(self._recorder.structure.in_block, lineage.params))),
            of_model=bool(lineage.anchors),
            relevant=relevant,
            nearest=nearest,
            error=error,
            place=str(seen.place),
            cause=first_cause(self._recorder, lineage)[1],
        )

    def of_pair(self, lineage: Lineage) -> bool:
        """The pair's own text is among the texts behind a scalar."""
        texts = [a for a in lineage.anchors if a.tower == "text" and a.terminal]
        behind = [self._passes.runs[a.run].tokens for a in texts]
        return any(tokens is None or self._is_given(tokens) for tokens in behind)

    def _is_given(self, tokens: Tensor) -> bool:
        given, tower = self._recorder.targets, self._passes.structure.text
        if tower is not None and is_shorter(tower, tokens, given):
            return bool(same_up_to_the_end(tower, tokens, given).any())
        same = tokens.shape[1:] == given.shape[1:]
        return same and bool((tokens == given).reshape(len(tokens), -1).all(-1).any())

    def _nearest(self, values: list[float]) -> tuple[str, float | None]:
        if len(values) != 1 or not np.isfinite(values[0]):
            return "", None
        errors = {name: abs(values[0] - score) for name, score in self._named.items()}
        name = min(errors, key=lambda key: errors[key])
        return name, errors[name]
