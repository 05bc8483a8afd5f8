"""Settings of an audit: what can be set, within which ranges, and by what default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from audit.config.value_forms import (
    as_list,
    as_severities,
    as_text,
    as_words,
    bytes_of,
    severity_of,
    template_of,
)
from audit.config.waivers import WaiverEntry
from audit.former_names import (
    present_explainer,
    present_keys,
    present_names,
    present_thresholds,
)


class SettingsError(ValueError):
    """Settings are wrong; the message says what was expected, found, where, and what to do."""


Samples = Annotated[int, Field(ge=1, strict=True)] | Literal["auto"]
Grid = Annotated[int, Field(ge=2, le=8, strict=True)] | Literal["auto", "off"]
SeverityName = Literal["error", "warning"]
Words = Annotated[
    tuple[str, ...], BeforeValidator(as_words, json_schema_input_type=tuple[str, ...] | str)
]
Sources = Annotated[
    tuple[str, ...], BeforeValidator(as_list, json_schema_input_type=tuple[str, ...] | str)
]
WrittenSeverity = Literal["error", "warning", "warn", "violation"]
Plain = str | bool | int | float
QUICK_PAIRS = 48
OF_EVIDENCE = (
    "model",
    "pretrained",
    "allow_download",
    "tokenizer",
    "ladder",
    "data",
    "grid",
    "allow_outside",
    "template",
    "quality",
    "samples",
    "budget",
    "seed",
    "device",
    "dtype",
    "profile",
)
"""Settings that decide the evidence, beside the explainer and its options."""


class Settings(BaseModel):
    """Everything that can be set. Field names are the keys of ``[tool.audit]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    _notes: tuple[str, ...] = PrivateAttr(())

    explainer: str = Field("", description="the explainer under audit")
    options: Annotated[
        dict[str, str], BeforeValidator(as_text, json_schema_input_type=dict[str, Plain])
    ] = Field(default_factory=dict, description="options of the explainer")
    model: str = Field(
        "bundled",
        description="bundled, an open_clip name, local-dir:FOLDER, timm:NAME, torchvision:NAME, "
        "hf:FOLDER, or FILE.py:FUNCTION",
    )
    pretrained: str | None = Field(
        None, description="weights: a tag of the library, a checkpoint file, or random"
    )
    tokenizer: str | None = Field(
        None,
        description="a folder with a tokenizer.json, in the place of the model's own tokenizer",
    )
    allow_download: bool = Field(
        default=False, description="download weights and tokenizers that are not on this machine"
    )
    ladder: Sources = Field(
        (),
        description="other weights of the model: checkpoint files or open_clip tags; or other "
        "models, shown and not judged: ARCHITECTURE:TAG, local-dir:FOLDER",
    )
    data: str = Field(
        "bundled",
        description="bundled, a manifest (file or folder), folder:FOLDER, coco:FOLDER, "
        "imagenet-s:FOLDER, voc:FOLDER, pets:FOLDER, hf:FOLDER, or an entry point",
    )
    grid: Grid = Field(
        "auto",
        description="pictures in a row and column of a grid, whose cells are the masks; off; auto "
        "is 2 where there are labels and no masks",
    )
    allow_outside: bool = Field(
        default=False, description="read files of the data that lie outside their folder"
    )
    template: Annotated[str, AfterValidator(template_of)] = Field(
        "a photo of a {}.",
        description="prompt for labels, with one {}; openai scores classes by the mean over 80",
    )
    quality: Words = Field(
        (),
        description="measures of map quality: the first, against masks, decides; the rest stand "
        "beside it; 'audit list quality' names all",
    )
    samples: Samples = Field(
        192,
        description="number of pairs; auto adds pairs until the checks are settled; "
        f"{QUICK_PAIRS} if the profile is quick and no number is given",
    )
    budget: int = Field(384, ge=1, description="with samples auto, the largest number of pairs")
    seed: int = Field(
        0,
        ge=0,
        description="seed of pairs, fills, edits and random models; the ladder's draws and the "
        "resamples of the statistics are always the same",
    )
    device: str = Field("cpu", description="cpu, cuda, cuda:1, …")
    dtype: Literal["float32", "float64", "float16", "bfloat16"] = Field(
        "float32", description="number format of the model's parameters"
    )
    out: str = Field("audit-report", description="folder for the report and the evidence")
    formats: Words = Field(("html", "json"), description="which reports to write")
    pictures: int | None = Field(
        None,
        ge=0,
        description="at most so many pictures in result and reports, 0 for none, such as of "
        "private images; default all that findings and the gallery show",
    )
    select: Words = Field((), description="run only these checks, such as P104, P1 or P101-P105")
    ignore: Words = Field((), description="leave out these checks, written likewise")
    severity: Annotated[
        dict[str, SeverityName],
        BeforeValidator(as_severities, json_schema_input_type=dict[str, WrittenSeverity]),
    ] = Field(default_factory=dict, description="severity by check: error or warning")
    thresholds: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="thresholds by check and name"
    )
    fail_on: Annotated[
        SeverityName, BeforeValidator(severity_of, json_schema_input_type=WrittenSeverity)
    ] = Field("error", description="lowest severity at which a violation fails: error or warning")
    strict: bool = Field(False, description="INCONCLUSIVE fails as well")  # noqa: FBT003
    require: Words = Field(
        (),
        description="checks that must come to a verdict, such as P101-P105,P201: INCONCLUSIVE and "
        "NOT_APPLICABLE fail there",
    )
    resume: bool = Field(True, description="finish an interrupted audit")  # noqa: FBT003
    reuse: bool = Field(
        default=False,
        description="reuse the evidence of a finished audit too, if nothing changed",
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        "auto",
        description="processes that measure side by side, with one thread each; the same comes "
        "out with any number; auto for as many as there are cores and memory for",
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="what runs workers: this machine, or a Ray cluster; the same comes out"
    )
    ray_address: str | None = Field(
        None, description="of the cluster, default RAY_ADDRESS; local starts one on this machine"
    )
    cache: str = Field("auto", description="folder of evidence that audits of a model share; off")
    max_time: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="seconds after which nothing new is measured: checks that lack evidence then "
        "have no verdict, and the exit code says so; the same command goes on from there",
    )
    timeout: float = Field(
        900,
        gt=0,
        allow_inf_nan=False,
        description="seconds that one call of the explainer may take before the audit ends it",
    )
    memory: str | None = Field(
        None,
        description="memory that the explainer's process may hold, such as 8GiB or 500MB; default "
        "nine tenths of what is available when it starts",
    )
    waivers: str | tuple[WaiverEntry, ...] = Field(
        (), description="accepted violations: a TOML file, or tables [[waivers]] right here"
    )
    baseline: str | None = Field(
        None, description="a result.json; only findings that are new or worse fail"
    )
    baseline_rev: str | None = Field(
        None,
        description="a git revision, audited as the baseline; only findings that are new or worse "
        "fail",
    )
    attest: str | None = Field(
        None, description="file to which an in-toto test-result statement is written"
    )
    history: bool = Field(True, description="keep the result in .audit/history")  # noqa: FBT003
    from_evidence: str | None = Field(None, description="folder of saved evidence to judge again")
    pair: str | None = Field(None, description="only this pair")
    profile: Literal["default", "quick", "full"] = Field(
        "default", description="how much evidence is gathered"
    )

    @model_validator(mode="before")
    @classmethod
    def _pairs_of_the_profile(cls, given: Any) -> Any:
        """A quick audit looks at fewer pairs, unless told how many."""
        quick = isinstance(given, Mapping) and given.get("profile") == "quick"
        return {"samples": QUICK_PAIRS, **given} if quick else given

    @field_validator("memory")
    @classmethod
    def _a_size(cls, size: str | None) -> str | None:
        bytes_of(size)
        return size

    @property
    def memory_bytes(self) -> int | None:
        """The memory limit in bytes; None where it is left to what is available."""
        return bytes_of(self.memory)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of the settings, such as former names that they use."""
        return self._notes

    @property
    def most_pairs(self) -> int:
        """The number of pairs, or the budget where it is not fixed."""
        return self.budget if self.samples == "auto" else self.samples

    def with_notes(self, notes: Iterable[str]) -> Settings:
        """The same settings with notes that came up while they were read."""
        found = self.model_copy()
        found._notes = tuple(notes)  # noqa: SLF001 - of its own class
        return found

    def under_present_names(self, notes: tuple[str, ...] = ()) -> Settings:
        """The same settings with present names in their values, and a note for each former one.

        Args:
            notes: that came up while the settings were read.
        """
        explainer, of_explainer = present_explainer(self.explainer)
        select, of_select = present_names("check", self.select)
        ignore, of_ignore = present_names("check", self.ignore)
        require, of_require = present_names("check", self.require)
        severity, of_severity = present_keys("check", self.severity)
        thresholds, of_thresholds = present_thresholds(self.thresholds)
        found = self.model_copy(
            update={
                "explainer": explainer,
                "select": select,
                "ignore": ignore,
                "require": require,
                "severity": severity,
                "thresholds": thresholds,
            }
        )
        more = (
            *of_explainer,
            *of_select,
            *of_ignore,
            *of_require,
            *of_severity,
            *of_thresholds,
        )
        found._notes = tuple(dict.fromkeys((*notes, *more)))  # noqa: SLF001 - of its own class
        return found

    def shown(self) -> dict[str, str]:
        """Those that can alter a result, as reports show them."""
        hidden = {
            "out", "resume", "reuse", "timeout", "memory", "workers", "engine", "ray_address",
            "cache", "formats", "pictures", "attest", "history", "from_evidence",
        }  # fmt: skip
        shown = self.model_dump(mode="json", exclude=hidden)
        return {k: str(v) for k, v in shown.items() if v not in (None, [], {}, "")}
