"""Quality of the maps of pairs with the model's margin of each, by measure: what P202 looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.evidence.kinds import ChosenPairs, Faithfulness, Reference, Roles
from audit.statistics.adjusted_area import adjusted_ranks
from audit.trace.records import Array
from principles.performance_alignment.estimates import Measure, faithfulness_of


@dataclass(frozen=True)
class SampleTable:
    """A measure of quality on pairs of which the model is right or wrong.

    Attributes:
        measure: the qualities.
        ids: of the pairs.
        cluster: picture of each pair, or its set of grids, (measured,).
        margins: of each pair; the model is right above zero, (measured,).
        area: of each object, as a share of its picture; None where that is not known.
    """

    measure: Measure
    ids: tuple[str, ...]
    cluster: Array
    margins: Array
    area: Array | None

    @property
    def right(self) -> Array:
        """Whether the model is right about each pair."""
        return self.margins > 0

    def fewest(self) -> int:
        """Pictures with a right pair or with a wrong one, whichever are fewer."""
        return min(len(np.unique(self.cluster[side])) for side in (self.right, ~self.right))

    def adjusted(self, name: str, roles: Roles, beside: str = "") -> Array:
        """Quality of an explainer's maps with that of the model-free ones and the area held fixed.

        By rank. Maps are not adjusted for themselves; model-free ones are adjusted for the maps
        ``beside`` which they are set as well, so that either side has as much taken from it.
        """
        values = self.measure.values
        fixed = [n for n in dict.fromkeys((*roles.negative, beside)) if n in values and n != name]
        covariates = [values[n] for n in fixed]
        covariates += [] if self.area is None else [self.area]
        return adjusted_ranks(values[name], covariates)


def sample_tables(
    chosen: ChosenPairs, faithfulness: Faithfulness, reference: Reference, roles: Roles
) -> list[SampleTable]:
    """Localization on the chosen pairs, then faithfulness on the probed pairs of the audit.

    Pairs without a value of some explainer are left out.
    """
    tables = []
    if roles.audited in chosen.localization:
        every = np.arange(len(chosen.ids))
        measure = Measure("localization", every, chosen.localization)
        tables.append(SampleTable(measure, chosen.ids, chosen.cluster, chosen.margins, chosen.area))
    if (measured := faithfulness_of(faithfulness, roles)) is not None:
        at = measured.pairs
        ids = tuple(reference.ids[i] for i in at)
        tables.append(
            SampleTable(measured, ids, reference.cluster[at], reference.margins[at], None)
        )
    known = [_known(table) for table in tables]
    return [table for table in known if table.ids]


def _known(table: SampleTable) -> SampleTable:
    keep = np.isfinite(np.stack(list(table.measure.values.values()))).all(0)
    measure = table.measure.at(keep)
    return SampleTable(
        measure,
        tuple(np.array(table.ids, dtype=object)[keep]),
        table.cluster[keep],
        table.margins[keep],
        None if table.area is None else table.area[keep],
    )
