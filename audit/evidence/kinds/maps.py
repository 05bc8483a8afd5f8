"""Evidence of the maps on the unmodified model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.trace.records import Array

AVERAGE_PRECISION = "average precision"  # decides, unless another measure was asked for


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
class MapQuality:
    """Quality of the maps by measures that take more than masks, reported beside what decides.

    Attributes:
        probed: indices of the pairs of which it was measured.
        values: per explainer and measure, (probed pairs,), NaN where a pair has none.
        passes: forward and backward passes of the model, one picture each, by family of measures,
            for all pairs and explainers.
        explanations: pictures that explainers were run on anew, likewise.
    """

    probed: Array
    values: dict[str, dict[str, Array]]
    passes: dict[str, int]
    explanations: dict[str, int]


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
