"""Evidence of how well the model does on many pairs, and of the maps of a chosen few of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.trace.records import Array


@dataclass(frozen=True)
class Performance:
    """The model's performance on many pairs, measured by forward passes alone.

    Attributes:
        margins: score of each pair's class minus that of the best class that its picture does not
            show, (many,); the model is right above zero.
        labels: class of each pair, (many,).
        chosen: which of them the maps are drawn for, in an order of which every part is balanced;
            empty where that cannot settle anything.
        lack: why nothing was chosen, and what would be needed, as a sentence; else empty.
        by_other_names: margins of the same pairs where their classes are asked for in other words,
            against the usual names of the others, (other names, many).
    """

    margins: Array
    labels: Array
    chosen: Array
    lack: str = ""
    by_other_names: Array = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True)
class ChosenPairs:
    """Localization of the maps of the chosen pairs.

    Attributes:
        ids: of the pairs.
        cluster: picture of each pair, or its set of grids, a number within all that performance
            was measured on, (chosen,).
        margins: of each pair, (chosen,).
        area: share of the patches that its object covers, (chosen,).
        localization: per explainer, by the measure that decides, (chosen,); empty without
            masks.
    """

    ids: tuple[str, ...]
    cluster: Array
    margins: Array
    area: Array
    localization: dict[str, Array]


@dataclass(frozen=True)
class ClassPairs:
    """Localization of the maps of a few pairs of each of many classes.

    A class under other names counts as a class of its own.

    Attributes:
        classes: names.
        labels: number of each among those of the data, whatever it is called here, (classes,).
        pairs: of each that performance was measured on, (classes,).
        right: those of them about which the model is right, (classes,).
        ids: of the pairs that maps were drawn for.
        index: class of each of these, (drawn,).
        cluster: picture of each, or its set of grids, a number within all that performance was
            measured on, (drawn,).
        area: share of the patches that its object covers, (drawn,).
        localization: per explainer, by the measure that decides, (drawn,); empty without masks.
        available: classes of these data that have enough pairs.
    """

    classes: tuple[str, ...]
    labels: Array
    pairs: Array
    right: Array
    ids: tuple[str, ...]
    index: Array
    cluster: Array
    area: Array
    localization: dict[str, Array]
    available: int


@dataclass(frozen=True)
class TwinMaps:
    """Localization of the audited maps and of its faithful twin's on many pairs.

    Attributes:
        cluster: picture of each pair, or its set of grids, (many,).
        localization: of the two, by the measure that decides, (many,); empty without masks,
            and without a twin.
    """

    cluster: Array
    localization: dict[str, Array]
