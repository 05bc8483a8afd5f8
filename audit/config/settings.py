"""Settings of an audit: defaults, then the project's file, then the command line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from audit.config.waivers import WaiverEntry, parse_waivers
from audit.former_names import (
    present_explainer,
    present_keys,
    present_names,
    present_thresholds,
)
from audit.nearest_name import nearest_of


class SettingsError(ValueError):
    """Settings are wrong; the message says what was expected, found, where, and what to do."""


def _as_text(value: object) -> object:
    """Options as text, since TOML may hold numbers and truth values."""
    if not isinstance(value, Mapping):
        return value
    return {k: str(v).lower() if isinstance(v, bool) else _plain(v) for k, v in value.items()}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) else value


def _as_words(value: object) -> object:
    """A list that may also be one word, or words joined by commas."""
    return [w.strip() for w in value.split(",") if w.strip()] if isinstance(value, str) else value


def _as_severities(value: object) -> object:
    return {k: _severity(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _severity(word: object) -> object:
    return (
        {"warn": "warning", "violation": "error"}.get(word, word) if isinstance(word, str) else word
    )


def _as_list(value: object) -> object:
    """A list that may also be one word; file names may hold commas."""
    return [value] if isinstance(value, str) else value


Samples = Annotated[int, Field(ge=1)] | Literal["auto"]
_ALTERNATIVES = ("constrained-int", "literal['auto']")  # pydantic's words, no keys
SeverityName = Literal["error", "warning"]
Words = Annotated[
    tuple[str, ...], BeforeValidator(_as_words, json_schema_input_type=tuple[str, ...] | str)
]
Sources = Annotated[
    tuple[str, ...], BeforeValidator(_as_list, json_schema_input_type=tuple[str, ...] | str)
]
WrittenSeverity = Literal["error", "warning", "warn", "violation"]
Plain = str | bool | int | float
QUICK_PAIRS = 48
_SIZE = re.compile(r"(?P<number>[0-9.]+(e[0-9]+)?)\s*(?P<unit>([KMGT]i?)?B?)", re.IGNORECASE)


class Settings(BaseModel):
    """Everything that can be set. Field names are the keys of ``[tool.audit]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    _notes: tuple[str, ...] = PrivateAttr(())

    explainer: str = Field("", description="the explainer under audit")
    options: Annotated[
        dict[str, str], BeforeValidator(_as_text, json_schema_input_type=dict[str, Plain])
    ] = Field(default_factory=dict, description="options of the explainer")
    model: str = Field("bundled", description="bundled, an open_clip name, or local-dir:FOLDER")
    pretrained: str | None = Field(
        None, description="weights: an open_clip tag, a checkpoint file, or random"
    )
    allow_download: bool = Field(
        default=False, description="download weights and tokenizers that are not on this machine"
    )
    ladder: Sources = Field(
        (),
        description="other weights of the model: checkpoint files or open_clip tags; or other "
        "models, shown and not judged: ARCHITECTURE:TAG, local-dir:FOLDER",
    )
    data: str = Field("bundled", description="bundled, or a manifest (file or folder)")
    allow_outside: bool = Field(
        default=False, description="read files of a manifest that lie outside its folder"
    )
    template: str = Field("a photo of a {}.", description="prompt for the labels of a manifest")
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
    select: Words = Field((), description="run only these checks (P1 means all of P1xx)")
    ignore: Words = Field((), description="leave out these checks")
    severity: Annotated[
        dict[str, SeverityName],
        BeforeValidator(_as_severities, json_schema_input_type=dict[str, WrittenSeverity]),
    ] = Field(default_factory=dict, description="severity by check: error or warning")
    thresholds: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="thresholds by check and name"
    )
    fail_on: Annotated[
        SeverityName, BeforeValidator(_severity, json_schema_input_type=WrittenSeverity)
    ] = Field("error", description="lowest severity at which a violation fails: error or warning")
    strict: bool = Field(False, description="INCONCLUSIVE fails as well")  # noqa: FBT003
    resume: bool = Field(True, description="finish an interrupted audit")  # noqa: FBT003
    reuse: bool = Field(
        default=False,
        description="reuse the evidence of a finished audit too, if nothing changed",
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
        severity, of_severity = present_keys("check", self.severity)
        thresholds, of_thresholds = present_thresholds(self.thresholds)
        found = self.model_copy(
            update={
                "explainer": explainer,
                "select": select,
                "ignore": ignore,
                "severity": severity,
                "thresholds": thresholds,
            }
        )
        more = (*of_explainer, *of_select, *of_ignore, *of_severity, *of_thresholds)
        found._notes = tuple(dict.fromkeys((*notes, *more)))  # noqa: SLF001 - of its own class
        return found

    def shown(self) -> dict[str, str]:
        """Those that can alter a result, as reports show them."""
        hidden = {
            "out",
            "resume",
            "reuse",
            "timeout",
            "memory",
            "formats",
            "attest",
            "history",
            "from_evidence",
        }
        shown = self.model_dump(mode="json", exclude=hidden)
        return {k: str(v) for k, v in shown.items() if v not in (None, [], {}, "")}


def bytes_of(size: str | None) -> int | None:
    """A size such as ``8GiB``, ``500 MB`` or ``2e9`` in bytes.

    Raises:
        ValueError: it is no positive size.
    """
    if size is None:
        return None
    match = _SIZE.fullmatch(size.strip())
    if match is None or not float(match["number"]) > 0:
        raise ValueError("expected a size such as 8GiB, 500MB or a number of bytes")
    unit = match["unit"].upper()
    step = 1024 if "I" in unit else 1000
    return int(float(match["number"]) * step ** ("BKMGT".index(unit[0]) if unit else 0))


def load_settings(given: Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Merge defaults, the project's file and what the command line gave.

    Args:
        given: from the command line; None and empty values mean not given.
        folder: where to look for ``audit.toml`` and ``pyproject.toml``; default the current one.

    Raises:
        SettingsError: an unknown key (with the nearest known one) or a wrong value.
        WaiverError: a waiver in the file that lacks something.
    """
    path, written = _file_settings(folder or Path.cwd())
    from_file, file_notes = present_keys("setting", written)
    given, given_notes = present_keys("setting", given)
    explicit = {k: v for k, v in given.items() if v is not None and v not in ((), {}, [])}
    merged = {**from_file, **explicit}
    for key in ("options", "severity", "thresholds"):
        if isinstance(from_file.get(key), dict) and isinstance(explicit.get(key), dict):
            merged[key] = {**from_file[key], **explicit[key]}
    for key in merged:
        if key not in Settings.model_fields:
            raise SettingsError(
                f"{path}: {nearest_of('setting', key, sorted(Settings.model_fields))}"
            )
    if not isinstance(merged.get("waivers", ""), (str, tuple)):
        merged["waivers"] = parse_waivers(merged["waivers"], path)
    try:
        return Settings.model_validate(merged).under_present_names((*file_notes, *given_notes))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        origin = "" if name in explicit else f"{path}: "
        where = ".".join(str(part) for part in first["loc"] if part not in _ALTERNATIVES)
        raise SettingsError(
            f"{origin}setting '{where}': {first['msg'].lower()}, got {first['input']!r}"
        ) from error


def settings_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of ``audit.toml`` and of ``[tool.audit]``.

    It accepts every way of writing a setting that `load_settings` reads.
    """
    schema = Settings.model_json_schema()
    properties = {}
    for name, one in schema["properties"].items():
        properties[name] = one
        properties[name.replace("_", "-")] = one
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:explainer-audit:settings",
        **schema,
        "properties": properties,
    }


def _file_settings(folder: Path) -> tuple[str, dict[str, Any]]:
    for name in ("audit.toml", "pyproject.toml"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not valid TOML: {error}") from error
        table = document if name == "audit.toml" else document.get("tool", {}).get("audit", {})
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: expected a table [tool.audit], found {table!r}")
        if table:
            given = {key.replace("-", "_"): value for key, value in table.items()}
            return str(path), {key: value for key, value in given.items() if value != ""}
    return "command line", {}
