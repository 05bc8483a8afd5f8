"""Waivers: violations that are accepted for a while, with reason, owner and expiry."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit.nearest_name import nearest_of

_EXAMPLE = 'check = "P104", reason = "…", owner = "…", expires = 2030-01-31'


class WaiverError(ValueError):
    """Waivers cannot be read; the message says what was expected, found, where, and what to do."""


class WaiverEntry(BaseModel):
    """One waiver, as a table of ``[[waivers]]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: str = Field(min_length=1, description="id of the check, such as P104")
    reason: str = Field(min_length=1, description="why the violation is accepted")
    owner: str = Field(min_length=1, description="who answers for it")
    expires: date = Field(description="last day on which it counts, YYYY-MM-DD")
    explainer: str | None = Field(None, description="only for this explainer; default any")


def read_waivers(path: Path) -> tuple[WaiverEntry, ...]:
    """Waivers of a TOML file with tables ``[[waivers]]``.

    Raises:
        WaiverError: no such file, no TOML, or a waiver that lacks something.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WaiverError(
            f"cannot read the waivers '{path}': {error.strerror}; give a TOML file with tables "
            "[[waivers]]"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WaiverError(f"{path}: not valid TOML: {error}") from error
    unknown = [key for key in document if key != "waivers"]
    if unknown:
        raise WaiverError(f"{path}: expected tables [[waivers]] only, found '{unknown[0]}'")
    return parse_waivers(document.get("waivers", []), str(path))


def parse_waivers(entries: Any, place: str) -> tuple[WaiverEntry, ...]:
    """Waivers from a list of tables.

    Raises:
        WaiverError: one lacks a field, has another one, or its date is no date.
    """
    if not isinstance(entries, list):
        raise WaiverError(f"{place}: expected a list of waivers, each with {_EXAMPLE}")
    return tuple(_parsed(entry, f"{place}, waiver {n}") for n, entry in enumerate(entries, 1))


def _parsed(entry: Any, place: str) -> WaiverEntry:
    if not isinstance(entry, dict):
        raise WaiverError(f"{place}: expected a table with {_EXAMPLE}; found {entry!r}")
    for key in entry:
        if key not in WaiverEntry.model_fields:
            raise WaiverError(f"{place}: {nearest_of('key', key, WaiverEntry.model_fields)}")
    try:
        return WaiverEntry.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        raise WaiverError(
            f"{place}: '{first['loc'][0]}': {first['msg'].lower()}; expected {_EXAMPLE}"
        ) from error
