"""Records of what entered the first layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from audit.models.transformer_block import TowerName
from audit.trace.map_origin import MapOrigin, distinct_prints
from audit.trace.observations import Entry
from audit.trace.probe_families import covers, surrounds
from audit.trace.recorder import Recorder
from audit.trace.records import PassRecord


class PassRecords:
    """Turns the entries of a recorder into records, one for each tower, shape and use."""

    def __init__(self, recorder: Recorder, descent: MapOrigin) -> None:
        self._recorder = recorder
        self._passes = recorder.passes
        self._descent = descent

    def records(self) -> Iterator[PassRecord]:
        """The records, in the order in which their kinds were first seen."""
        groups: dict[tuple[TowerName, tuple[int, ...], bool], list[Entry]] = {}
        kept = self._used_entries()
        used, towers = {id(e) for e in kept}, {e.tower for e in kept}
        for entry in self._passes.entries:
            relevant = entry.tower not in towers or id(entry) in used
            groups.setdefault((entry.tower, entry.shape[1:], relevant), []).append(entry)
        for (tower, shape, relevant), entries in groups.items():
            first = min(entries, key=lambda e: e.difference)
            rows = sum(e.shape[0] for e in entries)
            yield PassRecord(
                tower=tower,
                shape=(rows, *shape),
                expected_shape=tuple(self._recorder.given[tower].shape),
                rows=rows,
                given_rows=sum(e.given for e in entries),
                distinct_rows=distinct_prints([e.prints for e in entries]),
                smallest_difference=first.difference,
                surrounds_given=self._surrounds_given(tower, shape, entries),
                relevant=relevant,
                place=str(first.place),
            )

    def _used_entries(self) -> list[Entry]:
        """What the maps come from; inputs of another shape open no run and may always be used."""
        entries = self._passes.entries
        if not self._descent.known:
            return entries
        return [e for e in entries if e.run in self._descent.roots or e.difference == np.inf]

    def _surrounds_given(
        self, tower: TowerName, shape: tuple[int, ...], entries: list[Entry]
    ) -> bool:
        given = self._recorder.given[tower][0]
        samples = [e.sample for e in entries if e.sample is not None]
        if shape != given.shape or not samples:
            return False
        family = torch.cat([s.to(samples[0].dtype) for s in samples])
        if tower == "text":
            return covers(family, given)
        return surrounds(_colors(family.double()), _colors(given[None].double())[0])


def _colors(pictures: Tensor) -> Tensor:
    """Pictures as places with a color each, (b, H·W, 3)."""
    return pictures.flatten(2).mT
