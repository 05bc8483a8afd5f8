"""Kinds of evidence: what was measured, as plain arrays, numbers and strings (no torch).

Every kind is gathered by one file beside this folder and judged by the checks that need it.
Explainers are keyed by their full name (with options); `Roles` says which is which.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.evidence.kinds.executions import (
    Costs,
    Executed,
    ExplainedTowers,
    SourceLines,
    TraceEvidence,
)
from audit.evidence.kinds.graded_models import Ladder, OtherModels, RungFaithfulness, RungInfo
from audit.evidence.kinds.interventions import (
    EditedMaps,
    PatchEffects,
    Randomization,
    Reparametrization,
    Repeatability,
)
from audit.evidence.kinds.maps import (
    AVERAGE_PRECISION,
    Equivalence,
    Equivalences,
    Explanations,
    Faithfulness,
    MapQuality,
    TextSpecificity,
)
from audit.evidence.kinds.performance import ChosenPairs, ClassPairs, Performance, TwinMaps
from audit.evidence.kinds.subjects import PAIR_PLACEHOLDER, Reference, Roles

__all__ = [
    "AVERAGE_PRECISION",
    "PAIR_PLACEHOLDER",
    "ChosenPairs",
    "ClassPairs",
    "Costs",
    "EditedMaps",
    "Equivalence",
    "Equivalences",
    "Evidence",
    "Executed",
    "ExplainedTowers",
    "Explanations",
    "Faithfulness",
    "Ladder",
    "MapQuality",
    "OtherModels",
    "PatchEffects",
    "Performance",
    "Randomization",
    "Reference",
    "Reparametrization",
    "Repeatability",
    "Roles",
    "RungFaithfulness",
    "RungInfo",
    "SourceLines",
    "TextSpecificity",
    "TraceEvidence",
    "TwinMaps",
]


@dataclass(frozen=True)
class Evidence:
    """All the evidence of an audit; a field is None where it was not gathered."""

    roles: Roles
    reference: Reference | None = None
    costs: Costs | None = None
    explained_towers: ExplainedTowers | None = None
    trace: TraceEvidence | None = None
    explanations: Explanations | None = None
    performance: Performance | None = None
    chosen_pairs: ChosenPairs | None = None
    class_pairs: ClassPairs | None = None
    twin_maps: TwinMaps | None = None
    faithfulness: Faithfulness | None = None
    map_quality: MapQuality | None = None
    ladder: Ladder | None = None
    rung_faithfulness: RungFaithfulness | None = None
    other_models: OtherModels | None = None
    executed: Executed | None = None
    equivalences: Equivalences | None = None
    text_specificity: TextSpecificity | None = None
    reparametrization: Reparametrization | None = None
    randomization: Randomization | None = None
    effects: PatchEffects | None = None
    repeatability: Repeatability | None = None
