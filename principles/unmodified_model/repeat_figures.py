"""How far a pair's map changes in other company, as number and pictures: P109."""

from __future__ import annotations

import numpy as np

from audit.evidence.kinds import Reference, Repeatability
from audit.result.figures import BarsFigure, PairFigure, TableFigure
from audit.result.numbers import Statistic
from audit.result.wording import number
from audit.trace.records import Array
from principles.finding_parts import finite, pair_figure


def statistic(found: Repeatability, limits: Array) -> Statistic:
    """The change that is largest against its limit."""
    ratio = found.relative_l2 / limits
    worst = np.unravel_index(int(ratio.argmax()), ratio.shape)
    return Statistic(
        name="largest change of a map (relative L2), against its limit",
        value=finite(float(found.relative_l2[worst])),
        threshold=finite(float(limits[worst])),
        good_side="below",
        n=len(found.pairs),
    )


def bars(found: Repeatability) -> BarsFigure:
    """The largest change under each condition."""
    largest = found.relative_l2.max(1)
    return BarsFigure(
        title="Change of the map of a pair",
        caption="Largest relative change over pairs against the map of the pair alone.",
        labels=list(found.conditions),
        values=[finite(float(v)) for v in largest],
        limit=float(np.sqrt(found.resolution)),
        log_scale=bool((largest > 0).all()),
    )


def table(found: Repeatability, beyond: Array) -> TableFigure:
    """Each condition, with the changes of map and control."""
    rows = [
        [
            what,
            number(float(found.relative_l2[i].max())),
            number(float(found.largest[i].max())),
            number(float(found.control[i].max())),
            str(int(beyond[i].sum())),
        ]
        for i, what in enumerate(found.conditions)
    ]
    return TableFigure(
        title="The same pairs under other conditions",
        caption="Largest over pairs. The control is a faithful explainer in the same company.",
        columns=["condition", "change (relative L2)", "largest difference / largest value",
                 "change of the control", "pairs beyond the limit"],
        rows=rows,
    )  # fmt: skip


def maps(found: Repeatability, reference: Reference, condition: int, row: int) -> PairFigure:
    """The map of one pair alone and under a condition."""
    what = found.conditions[condition]
    return pair_figure(
        reference,
        int(found.pairs[row]),
        "One pair, two maps",
        f"The pair explained alone, and {what}.",
        [("alone", found.maps[row]), (what, found.changed_maps[condition][row])],
        shared_scale=True,
    )
