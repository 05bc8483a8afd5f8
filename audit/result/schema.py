"""The result of an audit: one versioned JSON document from which every report renders.

The classes here are the published schema (``Result.model_json_schema()``). They hold plain numbers
and strings only, so that a result can be read without torch, without the model and without this
package. ``None`` stands for a number that could not be computed; NaN is never written.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from audit.result.figures import PairFigure
from audit.result.finding import Finding, Severity
from audit.result.numbers import Frozen, Interval

SCHEMA_VERSION = 2
USUAL_MEASURE = "average precision"


class Waiver(Frozen):
    """A violation that was accepted for a while, by whom and why."""

    check: str
    reason: str
    owner: str
    expires: str


class CheckResult(Frozen):
    """A check's metadata and its finding."""

    id: str
    name: str
    principle: Literal[1, 2]
    title: str
    severity: Severity
    reference: str
    what_it_does: str
    why_it_matters: str
    what_a_pass_does_not_show: str
    how_to_fix: str = ""  # results of the first edition have none
    thresholds: dict[str, float | int | str | bool]
    finding: Finding
    waiver: Waiver | None = None
    is_new: bool | None = None  # against --baseline; None without one
    required: bool = False  # by --require: without a verdict it fails


class ControlResult(Frozen):
    """How a control explainer came out in the same checks."""

    name: str
    role: Literal["positive", "negative"]
    note: str
    quality: dict[str, float | None]


class Equivalence(Frozen):
    """Another registered explainer, and whether its maps equal the audited ones to rounding."""

    name: str
    equivalent: bool
    largest_difference: float | None  # of the map's range
    mean_rank_correlation: float | None
    note: str = ""
    relation: str = ""  # equal, scale, scale and offset, ranking or none; older results have none
    pairs: int | None = None
    residual: float | None = None  # what the relation leaves in double precision, of the range
    algebra: str = ""  # why, where it is known


class ExplainerInfo(Frozen):
    """The explainer that was audited."""

    name: str
    options: dict[str, str]
    summary: str = ""
    source_file: str | None = None
    source_line: int | None = None
    source_sha256: str | None = None
    passes: float | None = None  # operations of a map over those of a score


class ModelInfo(Frozen):
    """The model under audit.

    ``state_sha256`` is the hash of its tensors, ``architecture_sha256`` that of everything else
    that decides its output: classes, head counts, activations, transform, tokenizer. Blocks and
    heads are None where they are not known, or there is no text tower.
    """

    name: str
    pretrained: str | None
    state_sha256: str
    architecture_sha256: str = ""
    parameters: int
    image_size: int
    image_blocks: int | None = None
    image_heads: int | None = None
    patch_grid: list[int]
    text_blocks: int | None = None
    text_heads: int | None = None
    notes: list[str] = []

    @property
    def identity_sha256(self) -> str:
        """Hash of all that makes it this model: tensors, architecture and configuration."""
        parts = self.state_sha256 + self.architecture_sha256
        return hashlib.sha256(parts.encode()).hexdigest() if self.architecture_sha256 else parts

    def is_same_as(self, other: ModelInfo) -> bool:
        """Whether both are the same model, as far as an older result tells."""
        known = self.architecture_sha256 and other.architecture_sha256
        same = not known or self.architecture_sha256 == other.architecture_sha256
        return same and self.state_sha256 == other.state_sha256


class SkippedItem(Frozen):
    """Something of the data that was left out, and why."""

    what: str
    reason: str


class DataInfo(Frozen):
    """The pairs that were used.

    ``grid`` is the number of cells on either side of a picture that is a grid of several, else
    None. ``clusters`` counts what intervals are drawn over: pictures, or sets of grids. ``skipped``
    is what was left out of the data.
    """

    name: str
    pairs: int
    pictures: int
    classes: int
    templates: list[str]
    sha256: str
    has_masks: bool
    zero_shot_accuracy: float | None = None
    zero_shot_interval: Interval | None = None
    notes: list[str] = []
    grid: int | None = None
    clusters: int | None = None
    skipped: list[SkippedItem] = []


class Conditions(Frozen):
    """Under which conditions the audit ran.

    ``checkpoints`` are the user's rungs of the ladder and other models, and the hash of each one's
    weights. ``evidence`` is the key of the evidence that was judged. ``folder`` is where the audit
    ran, from the root of its git repository; paths of findings are relative to it. ``supervised``
    says whether the explainer ran in a process of its own.
    """

    audit_version: str
    versions: dict[str, str]
    git_commit: str | None
    git_dirty: bool | None
    seed: int
    device: str
    dtype: str
    settings: dict[str, str]
    command: str
    checkpoints: dict[str, str] = {}
    evidence: str = ""
    folder: str = ""
    supervised: bool | None = None


class Timing(Frozen):
    """When the audit ran and how long it took: all that differs between two alike.

    Attributes:
        started: date and time, ISO 8601.
        gathering: seconds that each kind of evidence took, as far as it was not there before.
        judging: seconds that each check took.
        checks: seconds of the audit by check: its judging and its share of the gathering.
        reused: kinds of evidence that an interrupted audit had finished, in whole or in part.
        map: seconds that a map of the explainer took; None where it was drawn before.
    """

    started: str
    gathering: dict[str, float] = {}
    judging: dict[str, float] = {}
    checks: dict[str, float] = {}
    reused: list[str] = []
    map: float | None = None


class Failure(Frozen):
    """Something that went wrong while evidence was gathered, with its traceback."""

    where: str
    message: str
    traceback: str


class PairQuality(Frozen):
    """Quality of the audited map of one pair; pairs that share a picture share its number.

    ``grid_set`` is the number of its set of grids, None where pictures are no grids.
    """

    pair: str
    picture: int
    grid_set: int | None = None
    values: dict[str, float | None]

    @property
    def cluster(self) -> int:
        """What it is drawn with: its set of grids, else its picture."""
        return self.picture if self.grid_set is None else self.grid_set


class QualityOfExplainer(Frozen):
    """A measure of map quality over the maps of one explainer.

    ``n`` counts the pairs that have a value; the interval is drawn over pictures, or sets of grids.
    """

    explainer: str
    mean: float | None
    interval: Interval | None = None
    n: int


class MeasuredQuality(Frozen):
    """A measure of map quality that was asked for, and what it says of every explainer.

    ``decides`` is true of the one that principle 2 goes by. ``span`` is its range, ``differs`` says
    how it differs from its reference implementation. ``passes`` are forward and backward passes of
    the model, and ``explanations`` further runs of explainers, one picture each, that it took
    together with the other measures of its ``family``.
    """

    name: str
    title: str
    decides: bool
    needs: str
    span: str
    better: Literal["higher", "lower", "neither"]
    source: str
    differs: str
    family: str = ""
    passes: int = 0
    explanations: int = 0
    of: list[QualityOfExplainer] = []


class ShownPair(Frozen):
    """A pair that figures show: its text, its picture, and where the object is.

    ``picture`` is the key of the picture in the result, which several pairs may share.
    """

    text: str
    picture: str | None = None
    mask: list[list[float]] | None = None


class Result(Frozen):
    """A whole audit.

    Figures and the gallery name pairs, ``shown_pairs`` says what these are, and ``pictures`` holds
    each of their pictures once, as PNG in base64. ``quality`` are the measures of map quality that
    were asked for.
    """

    schema_version: int = SCHEMA_VERSION
    verdict: Literal["pass", "violation", "incomplete"]
    exit_code: Literal[0, 1, 3]
    headline: str
    principle_sentences: dict[Literal["1", "2"], str]
    explainer: ExplainerInfo
    model: ModelInfo
    data: DataInfo
    conditions: Conditions
    timing: Timing
    checks: list[CheckResult]
    controls: list[ControlResult] = []
    equivalences: list[Equivalence] = []
    gallery: list[PairFigure] = []
    shown_pairs: dict[str, ShownPair] = {}
    pictures: dict[str, str] = {}
    pair_quality: list[PairQuality] = []
    quality: list[MeasuredQuality] = []
    failures: list[Failure] = []
    notes: list[str] = []

    @property
    def decides(self) -> str:
        """The measure against masks that principle 2 went by; the usual one unless another was."""
        return next((one.title for one in self.quality if one.decides), USUAL_MEASURE)
