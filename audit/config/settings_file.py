"""Reading settings: defaults, then the project's file, then the command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from audit.config.settings import Settings, SettingsError
from audit.config.waivers import parse_waivers
from audit.config.without_effect import without_effect
from audit.former_names import present_keys
from audit.nearest_name import nearest_of

_PATHS = frozenset({"out", "waivers", "baseline", "attest", "from_evidence"})
_MAY_BE_PATHS = frozenset({"explainer", "model", "pretrained", "ladder", "data"})
_MAY_BE_EMPTY = frozenset(
    name for name, one in Settings.model_fields.items() if isinstance(one.default, str | None)
)
_ALTERNATIVES = ("constrained-int", "literal['auto']")  # pydantic's words, no keys


def load_settings(given: Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Merge defaults, the project's file and what the command line gave.

    Args:
        given: from the command line; None and empty values mean not given.
        folder: where to look for ``audit.toml`` and ``pyproject.toml``, and in the folders above it
            up to the root of its git repository; default the current one.

    Raises:
        SettingsError: an unknown key (with the nearest known one) or a wrong value.
        WaiverError: a waiver in the file that lacks something.
    """
    path, written, of_file = _file_settings(folder or Path.cwd())
    from_file, file_notes = present_keys("setting", written)
    given, given_notes = present_keys("setting", given)
    explicit = {k: v for k, v in given.items() if v is not None and v not in ((), {}, [])}
    merged = {**from_file, **explicit}
    for key in ("options", "severity", "thresholds"):
        if isinstance(from_file.get(key), dict) and isinstance(explicit.get(key), dict):
            merged[key] = {**from_file[key], **explicit[key]}
    if not isinstance(merged.get("waivers", ""), (str, tuple)):
        merged["waivers"] = parse_waivers(merged["waivers"], path)
    return _checked(merged, path, set(explicit), (*of_file, *file_notes, *given_notes))


def call_settings(given: Mapping[str, Any]) -> Settings:
    """Settings of a call from Python, which says all that it wants: no file is read.

    Args:
        given: by name; what is left out has its default.

    Raises:
        SettingsError: an unknown key (with the nearest known one) or a wrong value.
    """
    present, notes = present_keys("setting", given)
    return _checked(present, "audit.check", set(present), notes)


def _checked(
    merged: Mapping[str, Any], origin: str, explicit: set[str], notes: tuple[str, ...]
) -> Settings:
    """Settings out of values, with all notes on them.

    Args:
        merged: the values.
        origin: of what nobody gave explicitly, for messages.
        explicit: names of what was given explicitly.
        notes: that came up before.
    """
    for key in merged:
        if key not in Settings.model_fields:
            raise SettingsError(
                f"{origin}: {nearest_of('setting', key, sorted(Settings.model_fields))}"
            )
    try:
        settings = Settings.model_validate(merged)
        return settings.under_present_names((*notes, *without_effect(settings)))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        place = "" if name in explicit else f"{origin}: "
        where = ".".join(str(part) for part in first["loc"] if part not in _ALTERNATIVES)
        raise SettingsError(
            f"{place}setting '{where}': {first['msg'].lower()}, got {first['input']!r}"
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


def _file_settings(folder: Path) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """The file, what it sets, and what the user should know of it.

    The nearest folder counts that has settings, from the working folder up to the root of its git
    repository, or of the disk without one. Paths in a file are relative to its folder.
    """
    for place in _up_to_the_repository(folder):
        found = [(path, table) for path in _candidates(place, folder) if (table := _table(path))]
        if not found:
            continue
        path, table = found[0]
        given = {key.replace("-", "_"): value for key, value in table.items()}
        given = {k: v for k, v in given.items() if v != "" or k not in _MAY_BE_EMPTY}
        notes = tuple(f"{path}: these settings are used, not those of {p}" for p, _ in found[1:])
        if place != folder:
            given = _from_here(given, place, folder)
            notes = (f"settings of {path}, and paths from its folder", *notes)
        return str(path), given, notes
    return "command line", {}, ()


def _up_to_the_repository(folder: Path) -> list[Path]:
    above = [folder, *folder.resolve().parents]
    roots = [i for i, place in enumerate(above) if (place / ".git").exists()]
    return above[: roots[0] + 1] if roots else above


def _candidates(place: Path, folder: Path) -> list[Path]:
    """Files of settings; above the working folder only those of its owner, since they name code."""
    files = [p for p in (place / "audit.toml", place / "pyproject.toml") if p.is_file()]
    return [p for p in files if place == folder or p.stat().st_uid == folder.stat().st_uid]


def _table(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    table: Any = document
    for name in () if path.name == "audit.toml" else ("tool", "audit"):
        table = table.get(name, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: expected a table [tool.audit], found {name} = {table!r}")
    return dict(table)


def _from_here(given: Mapping[str, Any], origin: Path, folder: Path) -> dict[str, Any]:
    """The same settings with paths from another folder; names stay names."""

    def moved(value: Any, *, always: bool) -> Any:
        if not isinstance(value, str):
            return [moved(v, always=always) for v in value] if isinstance(value, list) else value
        kind, colon, rest = value.partition(":")
        if colon and kind == "local-dir":
            return f"{kind}:{moved(rest, always=True)}"
        file, colon, name = value.rpartition(":") if value.count(":") else (value, "", "")
        there = origin / (file if file.endswith(".py") else value)
        if not (always or there.exists()):
            return value
        here = os.path.relpath(there, folder)
        return f"{here}{colon}{name}" if file.endswith(".py") else here

    names = {key: moved(v, always=False) for key, v in given.items() if key in _MAY_BE_PATHS}
    return {
        **given,
        **names,
        **{key: moved(v, always=True) for key, v in given.items() if key in _PATHS},
    }
