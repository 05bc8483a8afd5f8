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
    """How the maps of another explainer are related to the audited ones.

    Attributes:
        name: of the other explainer.
        relation: a value of `audit.metrics.map_relation.Relation`, ``none`` for one that is merely
            the most similar of those that are not related.
        largest_difference: largest absolute difference, relative to the map's range.
        rank_correlation: mean Spearman correlation over pairs.
        pairs: that were compared.
        residual: what the relation leaves, relative to the map's range, over all models.
        exact_pairs: pairs that were compared in double precision.
        models: on which they were: the model, and one with its weights drawn anew; 0 where the
            explainer cannot run in double precision.
    """

    name: str
    relation: str
    largest_difference: float
    rank_correlation: float
    pairs: int
    residual: float
    exact_pairs: int
    models: int


@dataclass(frozen=True)
class Equivalences:
    """Other explainers whose maps are those of the audited one, or the most similar.

    Attributes:
        entries: related ones first, each of those.
        compared: how many explainers it was compared with.
    """

    entries: tuple[Equivalence, ...]
    compared: int
