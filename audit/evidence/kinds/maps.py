"""Evidence of the maps on the unmodified model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.trace.records import Array

AVERAGE_PRECISION = "average precision"  # the measure of localization that decides


@dataclass(frozen=True)
class Explanations:
    """Maps on the unmodified model and their localization.

    Attributes:
        maps: per explainer, (pairs, rows, columns).
        localization: per explainer and metric, (pairs,); empty without masks.
    """

    maps: dict[str, Array]
    localization: dict[str, dict[str, Array]]


@dataclass(frozen=True)
class Faithfulness:
    """Faithfulness of the maps on the unmodified model.

    Attributes:
        probed: indices of the pairs of which it was measured.
        gaps: per explainer, insertion minus deletion, (probed pairs,).
        span: full minus empty score, (probed pairs,).
        other_gaps: the same with another fill; empty where it was not measured.
        other_span: full minus empty score with that fill, (probed pairs,).
    """

    probed: Array
    gaps: dict[str, Array]
    span: Array
    other_gaps: dict[str, Array] = field(default_factory=dict)
    other_span: Array = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class TextSpecificity:
    """Maps of the same pictures under a text that they do not show.

    Attributes:
        absent: class that each pair was asked for in the place of its own, (pairs,); -1 where its
            picture shows every class.
        maps: per explainer, (pairs, rows, columns); empty without masks.
        localization: of the pair's own object, per explainer and metric, (pairs,), NaN where no
            class is absent; empty without masks.
    """

    absent: Array
    maps: dict[str, Array]
    localization: dict[str, dict[str, Array]]


@dataclass(frozen=True)
class Equivalence:
    """How close the maps of another explainer are, over all pairs.

    Attributes:
        name: of the other explainer.
        largest_difference: largest absolute difference, relative to the map's range.
        rank_correlation: mean Spearman correlation over pairs.
    """

    name: str
    largest_difference: float
    rank_correlation: float


@dataclass(frozen=True)
class Equivalences:
    """Other explainers that may be equivalent to the audited one."""

    entries: tuple[Equivalence, ...]
