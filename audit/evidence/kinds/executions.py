"""Evidence of what the explainer executes."""

from __future__ import annotations

from dataclasses import dataclass

from audit.trace.records import Array, ChangeRecord, PairTrace


@dataclass(frozen=True)
class Costs:
    """What an explanation costs.

    Attributes:
        operations: per explainer, those of one explanation over those of one score; 1 or more.
    """

    operations: dict[str, float]


@dataclass(frozen=True)
class ExplainedTowers:
    """Which tower an explainer's map is of.

    Attributes:
        tokens: per explainer, how many tokens the map runs over where the text tower alone is
            explained; None where the map is that of the picture.
    """

    tokens: dict[str, int | None]


@dataclass(frozen=True)
class SourceLines:
    """Some lines of the explainer's source."""

    file: str
    line: int
    first_line: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class TraceEvidence:
    """What the audited explainer executed, and the positive control beside it.

    Attributes:
        traces: one per traced pair.
        control: the same pairs explained by the positive control.
        tolerance: largest difference of a score that dtype and kernels explain here.
        dtype: the model's.
        sources: lines of source around each place that a trace names.
        asked: pairs that the profile would have traced.
        cost: operations of one explanation over those of one score.
        before: what the explainer had altered when it was imported, or at its first call.
    """

    traces: tuple[PairTrace, ...]
    control: tuple[PairTrace, ...]
    tolerance: float
    dtype: str
    sources: dict[str, SourceLines]
    asked: int = 0
    cost: float = 1.0
    before: tuple[ChangeRecord, ...] = ()


@dataclass(frozen=True)
class Executed:
    """Zero-shot answers of what the explainer executes.

    Attributes:
        how: ``gradient`` (the scalars that it differentiates), ``returned`` (its scores), or
            ``none`` where it exposes no score.
        correct: whether the best of the candidate classes is present, (pictures,): those of the
            audit's pairs, in their order, and after them further ones.
        model_correct: the same for the unmodified model over the same candidates.
        largest_difference: of an explained score to the model's, None without scores.
    """

    how: str
    correct: Array
    model_correct: Array
    largest_difference: float | None
