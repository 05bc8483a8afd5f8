"""How far each function-preserving edit moved the maps, as number, words and pictures: P106."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from audit.evidence.kinds import EditedMaps, Reference, Reparametrization
from audit.result.figures import PairFigure, TableFigure
from audit.result.numbers import Statistic
from audit.result.wording import number, percent
from principles.finding_parts import listed, pair_figure
from principles.unmodified_model.map_movement import MOVED, STAYED, Movement


def statistic(movement: Movement, relative_change: float) -> Statistic:
    """The largest median change of the maps under an edit that could be judged."""
    judged = [*movement.of(MOVED), *movement.of(STAYED)]
    largest = max((movement.change(e) for e in judged), default=float("nan"))
    return Statistic(
        name="largest median change of the maps (relative L2)",
        value=largest if np.isfinite(largest) else None,
        threshold=relative_change,
        good_side="below",
        n=len(movement.found.pairs),
    )


def words(movement: Movement, worst: EditedMaps) -> str:
    """Which edits move the map, and what the worst does to map and score."""
    moved = movement.of(MOVED)
    alone = [e.place for e in moved if e.edit == worst.edit and e.block is not None]
    return (
        f"The map moves while the model's function stays, under "
        f"{listed((e.edit for e in moved), most=6)}. {worst.edit} ({worst.place}) changes it by "
        f"{percent(movement.change(worst))} (median; rank correlation "
        f"{number(movement.correlation(worst))}) and the score by {number(worst.score_change)}."
        + (f" It does so in {alone[-1]} alone." if alone and worst.block is None else "")
    )


def sentences(movement: Movement) -> Iterator[str]:
    """A sentence for each edit that moved the map."""
    for entry in movement.of(MOVED):
        yield (
            f"{entry.edit}, {entry.place}: relative change {number(movement.change(entry))}, rank "
            f"correlation {number(movement.correlation(entry))}, score "
            f"{number(entry.score_change)}"
        )


def table(movement: Movement) -> TableFigure:
    """What every edit did to scores and maps."""
    found = movement.found
    rows = [
        [
            entry.edit,
            entry.place,
            number(entry.score_change),
            number(movement.change(entry)),
            number(movement.correlation(entry)),
            number(float(np.nan_to_num(entry.top_overlap[movement.steady]).mean())),
            state,
        ]
        for entry, state in zip(found.entries, movement.states, strict=True)
    ]
    return TableFigure(
        title="Function-preserving edits",
        caption="Edits of all blocks or layers, and of single ones where those moved the map. "
        f"Computed in {found.dtype}; scores may move by {number(found.tolerance)}.",
        columns=["edit", "place", "score moves by", "map moves by (relative L2, median)",
                 "rank correlation", "overlap of the top tenth", "the map"],
        rows=rows,
    )  # fmt: skip


def maps(found: Reparametrization, reference: Reference, entry: EditedMaps, row: int) -> PairFigure:
    """The map of one pair before and after an edit."""
    return pair_figure(
        reference,
        int(found.pairs[row]),
        f"One function, two maps: {entry.edit}",
        f"The same pair, explained before and after the edit ({entry.place}). The model's scores "
        f"are the same to {number(entry.score_change)}.",
        [("before", found.maps[row]), ("after", entry.maps[row])],
        shared_scale=True,
    )
