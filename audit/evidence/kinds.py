"""Kinds of evidence: what was measured, as plain arrays, numbers and strings (no torch).

Every kind is gathered by one file beside this one and judged by the checks that need it. Explainers
are keyed by their full name (with options); `Roles` says which is which.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from audit.trace.records import Array, PairTrace

PAIR_PLACEHOLDER = "THE-PAIR"  # stands for the pair in `Roles.snippet`
AVERAGE_PRECISION = "average precision"  # the measure of localization that decides


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
        snippet: lines of Python that explain one pair, `PAIR_PLACEHOLDER` standing for its id.
        random_weights: True where the model's weights are random, as asked for.
    """

    audited: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    twin: str | None
    text_specific: bool
    model_free: bool
    stochastic: bool
    command: str = "audit check"
    snippet: str = ""
    random_weights: bool = False


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
        image_grid: patch rows and columns.
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
    image_grid: tuple[int, int] = (0, 0)

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
        asked: pairs that the profile would have traced.
        cost: operations of one explanation over those of one score.
    """

    traces: tuple[PairTrace, ...]
    control: tuple[PairTrace, ...]
    tolerance: float
    null_difference: float
    dtype: str
    sources: dict[str, SourceLines]
    asked: int = 0
    cost: float = 1.0


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
class Ladder:
    """Accuracy and localization of the maps on models of graded performance.

    Attributes:
        rungs: the first is the unmodified model.
        identity_error: largest difference of a score of the first rung to the model's.
        correct: per rung and picture.
        localization: per explainer, chance-corrected average precision, (rungs, pairs).
    """

    rungs: tuple[RungInfo, ...]
    identity_error: float
    correct: Array
    localization: dict[str, Array]


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
class EditedMaps:
    """What one function-preserving edit did to the maps, and to the scores.

    Attributes:
        edit: its name.
        place: where it applies, in words.
        block: which block alone, None for an edit of all blocks or of no block.
        score_change: largest change of a score, which must lie within the tolerance.
        rank_correlation: Spearman of the maps before and after, (pairs,).
        relative_l2: length of the change over the length of the map, (pairs,).
        top_overlap: of the most relevant tenth of the patches, (pairs,).
        maps: on the edited model, (pairs, rows, columns).
        control: relative change of the input gradient, which no such edit can move, (some pairs,).
    """

    edit: str
    place: str
    block: int | None
    score_change: float
    rank_correlation: Array
    relative_l2: Array
    top_overlap: Array
    maps: Array
    control: Array


@dataclass(frozen=True)
class Reparametrization:
    """The audited maps on models with other weights and the same function.

    Attributes:
        pairs: indices of the pairs.
        maps: on an unedited copy, (pairs, rows, columns).
        noise: largest relative change of each pair's map between copies whose weights are equal up
            to a few roundings, the unedited copy itself among them, (pairs,).
        control_noise: the same of the control, (some pairs,).
        tolerance: change of a score that rounding explains.
        dtype: in which edits and maps were computed; half precision is up-cast.
        entries: the edits of whole towers, and of single blocks where those moved the map.
    """

    pairs: Array
    maps: Array
    noise: Array
    control_noise: Array
    tolerance: float
    dtype: str
    entries: tuple[EditedMaps, ...]


@dataclass(frozen=True)
class Randomization:
    """The maps while the model's parameters are drawn anew, from the top down.

    Attributes:
        pairs: indices of the pairs.
        stages: ``unmodified``, then what was drawn last; the last is the whole model.
        similarity: per explainer, absolute rank correlation with the map on the unmodified model,
            (stages, draws, pairs); 1 for equal constant maps, 0 where only one is constant.
        change: relative L2 change of the audited map at the last stage, (draws, pairs).
        reached: share of all parameters that the last stage has drawn anew, (draws,).
        unrelated: the same similarity between audited maps of different pictures.
        chance: the same similarity between audited maps and uniform random ones.
        maps: audited, on the unmodified model, (pairs, rows, columns).
        final_maps: audited, at the last stage of the first draw.
    """

    pairs: Array
    stages: tuple[str, ...]
    similarity: dict[str, Array]
    change: Array
    reached: Array
    unrelated: Array
    chance: Array
    maps: Array
    final_maps: Array


@dataclass(frozen=True)
class PatchEffects:
    """What removing windows of patches does to the unmodified model's score.

    Attributes:
        pairs: indices of the pairs.
        kinds: the two kinds of intervention.
        effects: drop of each pair's score by patch and kind, (kinds, pairs, rows, columns).
        agreement: per explainer, share of the effect that the map's top windows capture, 0 for a
            random and 1 for the best order, (kinds, pairs).
        unsigned_agreement: the same for the size of the effect, whatever its sign.
        ceiling: agreement of the other kind of intervention, taken as a map, (kinds, pairs).
        unsigned_ceiling: the same for the size of the effect.
        null_difference: largest difference of a feature when nothing, or everything, is patched.
        tolerance: the difference that rounding explains.
    """

    pairs: Array
    kinds: tuple[str, ...]
    effects: Array
    agreement: dict[str, Array]
    unsigned_agreement: dict[str, Array]
    ceiling: Array
    unsigned_ceiling: Array
    null_difference: float
    tolerance: float


@dataclass(frozen=True)
class Repeatability:
    """The map of a pair alone, against its maps in other company and a second time.

    Attributes:
        pairs: indices of the pairs.
        conditions: what was different, in words; the first is the same call once more.
        relative_l2: change of the audited map, (conditions, pairs).
        largest: largest difference over the largest value of the map alone, (conditions, pairs).
        control: relative change of a faithful control, (conditions, pairs).
        repeats: what the explainer's own random numbers do: relative change from the pair alone to
            a second run, and to a batch of nothing but the pair itself, (repeats, pairs).
        noise: largest relative change of each pair's map between copies whose weights are equal up
            to a few roundings, (pairs,).
        resolution: the machine epsilon of the model's dtype.
        maps: audited, alone, (pairs, rows, columns).
        changed_maps: the same under each condition, (conditions, pairs, rows, columns).
    """

    pairs: Array
    conditions: tuple[str, ...]
    relative_l2: Array
    largest: Array
    control: Array
    repeats: Array
    noise: Array
    resolution: float
    maps: Array
    changed_maps: Array


@dataclass(frozen=True)
class Evidence:
    """All the evidence of an audit; a field is None where it was not gathered."""

    roles: Roles
    reference: Reference | None = None
    trace: TraceEvidence | None = None
    explanations: Explanations | None = None
    faithfulness: Faithfulness | None = None
    ladder: Ladder | None = None
    rung_faithfulness: RungFaithfulness | None = None
    other_models: OtherModels | None = None
    executed: Executed | None = None
    relatives: Relatives | None = None
    text_specificity: TextSpecificity | None = None
    reparametrization: Reparametrization | None = None
    randomization: Randomization | None = None
    effects: PatchEffects | None = None
    repeatability: Repeatability | None = None
