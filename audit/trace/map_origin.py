"""What the maps of an explainer descend from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from audit.trace.fingerprint import Prints
from audit.trace.lineage import Lineage, union
from audit.trace.recorder import Recorder

_SAME = 1e-6  # of the largest moment: what rows are rounded to before they are counted
_TINY = 1e-30


class MapOrigin:
    """Where the returned maps come from, as far as they could be followed.

    Attributes:
        known: True where the lineage of every map that says anything is known.
        lost: True where one of them has no origin.
        from_nowhere: True where no operation that was seen made one of them, and none left torch.
        of_maps: lineage of the maps.
        upstream: the same with what is behind the scalars whose gradients they hold.
        scores: numbers of the scores that they are made of, where they are made of nothing else.
        roots: numbers of the passes from a first layer behind them.

    Args:
        recorder: after the explainer has returned.
        maps: what it returned.
    """

    def __init__(self, recorder: Recorder, maps: Sequence[Tensor]) -> None:
        telling = [m for m in maps if m.numel() and not bool((m == m.flatten()[0]).all())]
        lineages = [recorder.lineages.get(m) for m in telling]
        self.lost = any(lineage.empty for lineage in lineages)
        self.from_nowhere = not recorder.origins.left and not all(
            recorder.origins.is_made(m) or not lineage.empty
            for m, lineage in zip(telling, lineages, strict=True)
        )
        if lineages and all(lineage.empty for lineage in lineages):
            lineages = list(recorder.origins.left) or lineages
        self.known = bool(lineages) and not any(lineage.empty for lineage in lineages)
        direct = union(lineages)
        self.scores = direct.scores if not direct.anchors else frozenset[int]()
        self.of_maps: Lineage = recorder.probed.whole(direct)
        explained = [recorder.derivatives.scalars[i].lineage for i in sorted(self.of_maps.scalars)]
        self.upstream: Lineage = union([self.of_maps, *explained])
        self.roots = recorder.passes.runs.roots_of([a.run for a in self.upstream.anchors])


def distinct_prints(prints: list[Prints]) -> int:
    """How many different rows there are, by rounded fingerprints."""
    if not prints:
        return 0
    table = np.concatenate(prints)
    scale = np.abs(table).max(0) + _TINY
    return len(np.unique(np.round(table / scale / _SAME), axis=0))
