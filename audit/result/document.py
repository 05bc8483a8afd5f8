"""The result as JSON, the truth that every other report renders: writing, reading, schema."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ValidationError

from audit.result.migrations import MIGRATIONS
from audit.result.schema import SCHEMA_VERSION, Result

__all__ = [
    "ResultFormatError",
    "json_schema",
    "load_result",
    "read_result",
    "render_json",
    "render_schema",
]

Plain: TypeAlias = Any  # what `json` reads and writes
_SHOWN_PROBLEMS: Final = 5


class ResultFormatError(ValueError):
    """A document that is not a result which this version can read."""


def render_json(result: Result) -> str:
    """`result` as an indented ASCII document: the same result gives the same bytes.

    Fields stand in the order of the schema, the keys of free mappings in alphabetical order, and
    lists of numbers on one line. NaN and infinity are written as ``null``.
    """
    return "".join(_written(_plain(result), "\n")) + "\n"


def read_result(path: Path) -> Result:
    """The result in a file.

    Raises:
        ResultFormatError: it is not a result; the message names the file.
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ResultFormatError(f"'{path}': expected a result, found no regular file")
    try:
        return load_result(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ResultFormatError(
            f"'{path}': expected a result of `audit check` in UTF-8, found other bytes: {error}"
        ) from error
    except ResultFormatError as error:
        raise ResultFormatError(f"'{path}': {error}") from error


def load_result(text: str) -> Result:
    """Read what `render_json` wrote, by this version or an older one.

    Raises:
        ResultFormatError: where `text` is no JSON, no result, or of a newer schema version.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResultFormatError(
            f"expected a result of `audit check` in JSON; this is no JSON: {error}"
        ) from error
    try:
        return Result.model_validate(_migrated(document))
    except ValidationError as error:
        raise ResultFormatError(_problems(error)) from error


def json_schema() -> dict[str, Plain]:
    """The published JSON schema (draft 2020-12) of a result of this schema version."""
    schema = Result.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:explainer-audit:result:{SCHEMA_VERSION}",
        **schema,
    }


def render_schema() -> str:
    """The published schema as text, as ``--format schema`` writes it."""
    return json.dumps(json_schema(), indent=1) + "\n"


def _migrated(document: Plain) -> dict[str, Plain]:
    if not isinstance(document, dict):
        raise ResultFormatError(
            f"expected a result, a JSON object; found {type(document).__name__}"
        )
    version = document.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ResultFormatError(
            f"expected a result with a schema_version from 1 to {SCHEMA_VERSION}; "
            f"found {version!r}; was this file written by `audit check`?"
        )
    if version > SCHEMA_VERSION:
        raise ResultFormatError(
            f"this result has schema version {version}; this audit reads versions 1 to "
            f"{SCHEMA_VERSION}; upgrade explainer-audit to read it"
        )
    for step in range(version, SCHEMA_VERSION):
        if step in MIGRATIONS:
            document = MIGRATIONS[step](document)
    return {**document, "schema_version": SCHEMA_VERSION}


def _problems(error: ValidationError) -> str:
    found = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'document'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)
    ]
    more = len(found) - _SHOWN_PROBLEMS
    shown = "; ".join(found[:_SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
    return f"expected a result of schema version {SCHEMA_VERSION}; {shown}"


def _plain(value: object) -> Plain:
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _written(value: Plain, newline: str) -> Iterator[str]:
    inner = newline + " "
    if isinstance(value, dict) and value:
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield f"{',' if index else ''}{inner}{json.dumps(key)}: "
            yield from _written(item, inner)
        yield newline + "}"
    elif isinstance(value, list) and any(isinstance(item, dict | list | str) for item in value):
        yield "["
        for index, item in enumerate(value):
            yield f"{',' if index else ''}{inner}"
            yield from _written(item, inner)
        yield newline + "]"
    else:
        yield json.dumps(value, allow_nan=False)
