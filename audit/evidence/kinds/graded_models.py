"""Evidence of the maps on models of graded performance."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit.trace.records import Array


@dataclass(frozen=True)
class RungInfo:
    """A rung of the ladder.

    Attributes:
        name: unique in the ladder.
        family: how the model was degraded, ``unmodified``, ``checkpoint`` for other weights that
            the user gave, or ``other-model``.
        strength: how far it was degraded; of what was given the place among it, from 1.
        seed: which draw.
        sha256: hash of the parameters and buffers of what was given.
    """

    name: str
    family: str
    strength: float
    seed: int
    sha256: str | None = None


@dataclass(frozen=True)
class Ladder:
    """Accuracy and localization of the maps on models of graded performance.

    Attributes:
        rungs: the first is the unmodified model.
        identity_error: largest difference of a score of the first rung to the model's, of scores
            above 1 in units of the largest.
        correct: per rung and picture.
        localization: per explainer, by the measure that decides, (rungs, pairs).
        probed_maps: per explainer, of the pairs whose faithfulness is probed, (rungs, probed pairs,
            rows, columns); empty where they were not kept.
        left_out: a sentence for each family of rungs that this model does not have.
    """

    rungs: tuple[RungInfo, ...]
    identity_error: float
    correct: Array
    localization: dict[str, Array]
    probed_maps: dict[str, Array] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class RungFaithfulness:
    """Faithfulness of the maps on the rungs of the ladder.

    Attributes:
        probed: indices of the pairs of which it was measured.
        gaps: per explainer, insertion minus deletion, (rungs, probed pairs); NaN where it was not
            measured, as for a faithful twin on all rungs but the first.
        span: full minus empty score, (rungs, probed pairs).
    """

    probed: Array
    gaps: dict[str, Array]
    span: Array


@dataclass(frozen=True)
class OtherModels:
    """The maps on other models that the user gave, beside the model under audit.

    Attributes:
        ladder: the model under audit, then the others, as rungs; None where none was given.
        faithfulness: of the maps on them.
        failures: of models without maps, by name, what the explainer raised there.
    """

    ladder: Ladder | None = None
    faithfulness: RungFaithfulness | None = None
    failures: dict[str, str] = field(default_factory=dict)
