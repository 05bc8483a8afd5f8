"""Kinds of evidence: what was measured, as plain arrays, numbers and strings (no torch).

Every kind is gathered by one file beside this one and judged by the checks that need it. Explainers
are keyed by their full name (with options); `Roles` says which is which.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.trace.records import Array, PairTrace


@dataclass(frozen=True)
class Roles:
    """Names of the explainers of this audit.

    Attributes:
        audited: the one under audit.
        positive: faithful controls; a check that they fail cannot speak here.
        negative: controls that never look at the model.
        twin: the audited method without its modification, where it declares one.
        text_specific: False where the audited method declares that it ignores the text.
        model_free: True where the audited method declares that it never looks at the model.
        stochastic: True where it declares that two runs differ.
        command: the command line that runs this audit again.
    """

    audited: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    twin: str | None
    text_specific: bool
    model_free: bool
    stochastic: bool
    command: str = "audit check"


@dataclass(frozen=True)
class Reference:
    """The unmodified model's own answers.

    Attributes:
        ids: of the pairs.
        texts: of the pairs.
        classes: names.
        picture: picture of each pair, (pairs,).
        labels: class of each pair, (pairs,).
        present: classes that each picture shows, (pictures, classes).
        cosine: score of each picture and class, (pictures, classes).
        logit_scale: factor from cosine to logit.
        masks: share of each patch that the object covers, (pairs, rows, columns), or None.
        image_blocks: number of blocks of the image tower.
        text_blocks: of the text tower.
        image_heads: heads of its last block.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    classes: tuple[str, ...]
    picture: Array
    labels: Array
    present: Array
    cosine: Array
    logit_scale: float
    masks: Array | None
    image_blocks: int
    text_blocks: int
    image_heads: int

    @property
    def correct(self) -> Array:
        """Whether the best class of each picture is present in it, (pictures,)."""
        best = self.cosine.argmax(1)
        return np.asarray(self.present[np.arange(len(best)), best])

    @property
    def chance(self) -> float:
        """Accuracy of a guess."""
        return float(self.present.mean())


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
        null_difference: the largest seen between the model and itself.
        dtype: the model's.
        sources: lines of source around each place that a trace names.
    """

    traces: tuple[PairTrace, ...]
    control: tuple[PairTrace, ...]
    tolerance: float
    null_difference: float
    dtype: str
    sources: dict[str, SourceLines]


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
class RungInfo:
    """A rung of the ladder."""

    name: str
    family: str
    strength: float
    seed: int


@dataclass(frozen=True)
class Ladder:
    """Quality of the maps on models of graded performance.

    Attributes:
        rungs: the first is the unmodified model.
        identity_error: largest difference of a score of the first rung to the model's.
        correct: per rung and picture.
        localization: per explainer, chance-corrected average precision, (rungs, pairs).
        faithfulness: per explainer, insertion minus deletion, (rungs, probed pairs).
        faithfulness_range: full minus empty score, (rungs, probed pairs).
        probed: indices of the pairs of which faithfulness was measured.
    """

    rungs: tuple[RungInfo, ...]
    identity_error: float
    correct: Array
    localization: dict[str, Array]
    faithfulness: dict[str, Array]
    faithfulness_range: Array
    probed: Array


@dataclass(frozen=True)
class Executed:
    """Zero-shot answers of what the explainer executes.

    Attributes:
        how: ``gradient`` (the scalars that it differentiates), ``returned`` (its scores), or
            ``none`` where it exposes no score.
        candidates: classes that were asked of each picture, (pictures, candidates).
        scores: explained score of each, (pictures, candidates).
        correct: whether the best candidate is present, (pictures,).
        model_correct: the same for the unmodified model over the same candidates.
        largest_difference: of an explained score to the model's cosine, None without scores.
    """

    how: str
    candidates: Array
    scores: Array
    correct: Array
    model_correct: Array
    largest_difference: float | None


@dataclass(frozen=True)
class RelativeEvidence:
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
class Relatives:
    """Other explainers that may be the same one."""

    entries: tuple[RelativeEvidence, ...]


@dataclass(frozen=True)
class Evidence:
    """All the evidence of an audit; a field is None where it was not gathered."""

    roles: Roles
    reference: Reference | None = None
    trace: TraceEvidence | None = None
    explanations: Explanations | None = None
    ladder: Ladder | None = None
    executed: Executed | None = None
    relatives: Relatives | None = None
