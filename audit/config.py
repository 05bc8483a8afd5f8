"""Settings of an audit: defaults, then ``pyproject.toml`` or ``audit.toml``, then the command line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class SettingsError(ValueError):
    """Settings are wrong; the message says what was expected, found, where, and what to do."""


class Settings(BaseModel):
    """Everything that can be set. Field names are the keys of ``[tool.audit]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    explainer: str = Field("", description="the explainer under audit")
    options: dict[str, str] = Field(default_factory=dict, description="options of the explainer")
    model: str = Field("bundled", description="bundled, an open_clip name, or local-dir:FOLDER")
    pretrained: str | None = Field(None, description="an open_clip tag or a checkpoint file")
    data: str = Field("bundled", description="bundled, or a manifest (file or folder)")
    template: str = Field("a photo of a {}.", description="prompt of a label of a manifest")
    samples: int = Field(192, ge=1, description="number of pairs")
    seed: int = Field(0, ge=0, description="of every random choice")
    device: str = Field("cpu", description="cpu, cuda, cuda:1, …")
    dtype: Literal["float32", "float64", "float16", "bfloat16"] = "float32"
    out: str = Field("audit-report", description="folder of the report and the evidence")
    formats: tuple[str, ...] = Field(("html", "json"), description="which reports to write")
    select: tuple[str, ...] = Field((), description="only these checks (P1 means all of P1xx)")
    ignore: tuple[str, ...] = Field((), description="not these checks")
    severity: dict[str, Literal["error", "warning"]] = Field(
        default_factory=dict, description="severity by check"
    )
    thresholds: dict[str, dict[str, float]] = Field(
        default_factory=dict, description="thresholds by check and name"
    )
    fail_on: Literal["error", "warning"] = Field("error", description="severity that fails")
    strict: bool = Field(False, description="INCONCLUSIVE fails as well")  # noqa: FBT003
    resume: bool = Field(True, description="use finished evidence of the same audit")  # noqa: FBT003
    from_evidence: str | None = Field(None, description="judge this evidence again")
    pair: str | None = Field(None, description="only this pair")
    profile: Literal["default", "quick", "full"] = "default"


def load_settings(given: Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Merge defaults, the project's file and what the command line gave.

    Args:
        given: from the command line; None and empty values mean not given.
        folder: where to look for ``audit.toml`` and ``pyproject.toml``; default the current one.

    Raises:
        SettingsError: an unknown key (with the nearest known one) or a wrong value.
    """
    path, from_file = _file_settings(folder or Path.cwd())
    explicit = {k: v for k, v in given.items() if v is not None and v not in ((), {}, [])}
    merged = {**from_file, **explicit}
    for key in ("options", "severity", "thresholds"):
        if isinstance(from_file.get(key), dict) and isinstance(explicit.get(key), dict):
            merged[key] = {**from_file[key], **explicit[key]}
    unknown = sorted(set(merged) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"{path}: {_unknown(unknown[0])}")
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"setting '{where}': {first['msg'].lower()}, got {first['input']!r}"
        ) from error


def _file_settings(folder: Path) -> tuple[str, dict[str, Any]]:
    for name in ("audit.toml", "pyproject.toml"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path}: not valid TOML: {error}") from error
        table = document if name == "audit.toml" else document.get("tool", {}).get("audit", {})
        if table:
            return str(path), {key.replace("-", "_"): value for key, value in table.items()}
    return "command line", {}


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, Settings.model_fields, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"unknown setting '{key}'{hint} Known: {', '.join(sorted(Settings.model_fields))}"
