"""The result of an audit: one versioned JSON document from which every report renders.

The classes here are the published schema (``Result.model_json_schema()``). They hold plain numbers
and strings only, so that a result can be read without torch, without the model and without this
package. ``None`` stands for a number that could not be computed; NaN is never written.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """What a check concludes."""

    PASS = "pass"  # noqa: S105
    VIOLATION = "violation"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not-applicable"
    ERROR = "error"


class Severity(StrEnum):
    """How much a violation of a check weighs: only an ``error`` fails the gate by default."""

    ERROR = "error"
    WARNING = "warning"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Interval(_Frozen):
    """A confidence interval."""

    low: float | None
    high: float | None
    level: float = 0.95


class Statistic(_Frozen):
    """A measured number beside the threshold that it was judged by.

    ``p`` is the two-sided p-value of the null hypothesis that ``p_test`` names; ``p_adjusted`` the
    same after Holm's procedure over the checks that were tested together. Verdicts go by intervals.
    """

    name: str
    value: float | None
    interval: Interval | None = None
    threshold: float | None = None
    good_side: Literal["above", "below"] | None = None
    n: int | None = None
    smallest_visible_effect: float | None = None
    unit: str = ""
    p: Annotated[float, Field(gt=0, le=1)] | None = None
    p_test: str = ""
    p_adjusted: Annotated[float, Field(gt=0, le=1)] | None = None


class NamedMap(_Frozen):
    """A saliency map on its patch grid, row by row from the top left."""

    title: str
    values: list[list[float | None]]


class Picture(_Frozen):
    """A picture of a pair: PNG bytes in base64, its text, and where the object is."""

    pair: str
    text: str
    png: str
    mask: list[list[float]] | None = None


class PairFigure(_Frozen):
    """One pair: picture, mask and several maps on one color scale per ``shared_scale``.

    ``tags`` are short labels by which a gallery can be filtered, such as ``prediction wrong``.
    """

    kind: Literal["pair"] = "pair"
    title: str
    caption: str
    picture: Picture
    maps: list[NamedMap]
    shared_scale: bool = False
    tags: list[str] = []


class BarsFigure(_Frozen):
    """Named bars, such as the divergence of each block.

    ``limit`` is the tolerated value, or the value to beat where ``good_side`` is ``above``.
    """

    kind: Literal["bars"] = "bars"
    title: str
    caption: str
    labels: list[str]
    values: list[float | None]
    limit: float | None = None
    good_side: Literal["above", "below"] = "below"
    unit: str = ""
    log_scale: bool = False


class Point(_Frozen):
    """A point of a scatter plot with its 95 % intervals."""

    x: float
    y: float
    x_interval: Interval | None = None
    y_interval: Interval | None = None
    label: str = ""


class Series(_Frozen):
    """Points that belong together; ``control`` series are drawn muted."""

    name: str
    points: list[Point]
    line: bool = False
    control: bool = False


class ScatterFigure(_Frozen):
    """Series of points or lines, such as quality against zero-shot accuracy over a ladder."""

    kind: Literal["scatter"] = "scatter"
    title: str
    caption: str
    x_label: str
    y_label: str
    series: list[Series]


class TableFigure(_Frozen):
    """A small table; every cell is text."""

    kind: Literal["table"] = "table"
    title: str
    caption: str
    columns: list[str]
    rows: list[list[str]]


class SourceFigure(_Frozen):
    """Lines of the explainer's own source, with the line that the finding is about."""

    kind: Literal["source"] = "source"
    title: str
    caption: str
    file: str
    line: int
    first_line: int
    lines: list[str]


Figure = Annotated[
    PairFigure | BarsFigure | ScatterFigure | TableFigure | SourceFigure,
    Field(discriminator="kind"),
]


class Location(_Frozen):
    """A line of source that a finding points at. ``file`` is relative where that is possible."""

    file: str
    line: int
    text: str = ""


class Witness(_Frozen):
    """The worst sample of a violation and how to see it again: ``alone``, or among all pairs."""

    pair: str
    command: str
    snippet: str = ""
    alone: bool = True


class Finding(_Frozen):
    """What a check found: verdict, numbers, one plain sentence, evidence for the eye."""

    verdict: Verdict
    summary: str
    detail: list[str] = []
    statistics: list[Statistic] = []
    samples: list[str] = []
    locations: list[Location] = []
    figures: list[Figure] = []
    witness: Witness | None = None
    severity: Severity | None = None  # where it differs from the check's own
    pairs_to_settle: int | None = None  # of an INCONCLUSIVE, at the size seen; None if unknown
    more_pairs_help: bool = True  # False where no number of pairs would settle an INCONCLUSIVE
    wants: list[str] = []  # kinds of evidence that it was judged without and asks for


class Waiver(_Frozen):
    """A violation that was accepted for a while, by whom and why."""

    check: str
    reason: str
    owner: str
    expires: str


class CheckResult(_Frozen):
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
    thresholds: dict[str, float | int | str | bool]
    finding: Finding
    waiver: Waiver | None = None
    is_new: bool | None = None  # against --baseline; None without one
    seconds: float | None = None


class ControlResult(_Frozen):
    """How a control explainer came out in the same checks."""

    name: str
    role: Literal["positive", "negative"]
    note: str
    quality: dict[str, float | None]


class Relative(_Frozen):
    """Another registered explainer whose maps are compared with the audited ones."""

    name: str
    equivalent: bool
    largest_difference: float | None  # of the map's range
    mean_rank_correlation: float | None
    note: str = ""


class ExplainerInfo(_Frozen):
    """The explainer that was audited."""

    name: str
    options: dict[str, str]
    summary: str = ""
    source_file: str | None = None
    source_line: int | None = None
    source_sha256: str | None = None


class ModelInfo(_Frozen):
    """The model under audit."""

    name: str
    pretrained: str | None
    state_sha256: str
    parameters: int
    image_size: int
    image_blocks: int
    image_heads: int
    patch_grid: list[int]
    text_blocks: int
    text_heads: int


class DataInfo(_Frozen):
    """The pairs that were used."""

    name: str
    pairs: int
    pictures: int
    classes: int
    templates: list[str]
    sha256: str
    has_masks: bool
    zero_shot_accuracy: float | None = None
    zero_shot_interval: Interval | None = None


class Conditions(_Frozen):
    """Under which conditions the audit ran.

    ``checkpoints`` are the user's rungs of the ladder and other models, and the hash of each one's
    weights. ``evidence`` is the key of the evidence that was judged.
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
    started: str
    seconds: dict[str, float]
    checkpoints: dict[str, str] = {}
    evidence: str = ""


class Failure(_Frozen):
    """Something that went wrong while evidence was gathered, with its traceback."""

    where: str
    message: str
    traceback: str


class PairQuality(_Frozen):
    """Quality of the audited map of one pair; pairs that share a picture share its number."""

    pair: str
    picture: int
    values: dict[str, float | None]


class Result(_Frozen):
    """A whole audit."""

    schema_version: int = SCHEMA_VERSION
    verdict: Literal["pass", "violation", "incomplete"]
    exit_code: Literal[0, 1, 3]
    headline: str
    principle_sentences: dict[Literal["1", "2"], str]
    explainer: ExplainerInfo
    model: ModelInfo
    data: DataInfo
    conditions: Conditions
    checks: list[CheckResult]
    controls: list[ControlResult] = []
    relatives: list[Relative] = []
    gallery: list[PairFigure] = []
    pair_quality: list[PairQuality] = []
    failures: list[Failure] = []
    notes: list[str] = []
