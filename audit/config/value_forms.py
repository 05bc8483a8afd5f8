"""The ways of writing a setting that files and the command line allow, as one form each."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SIZE = re.compile(r"(?P<number>[0-9.]+(e[0-9]+)?)\s*(?P<unit>([KMGT]i?)?B?)", re.IGNORECASE)


def as_text(value: object) -> object:
    """Options as text, since TOML may hold numbers and truth values."""
    if not isinstance(value, Mapping):
        return value
    return {k: str(v).lower() if isinstance(v, bool) else _plain(v) for k, v in value.items()}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, (int, float)) else value


def as_words(value: object) -> object:
    """A list that may also be one word, or words joined by commas."""
    return [w.strip() for w in value.split(",") if w.strip()] if isinstance(value, str) else value


def as_severities(value: object) -> object:
    """A table of severities by the words that people write for them."""
    return {k: severity_of(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def severity_of(word: object) -> object:
    """``error`` or ``warning``, by any word for it."""
    return (
        {"warn": "warning", "violation": "error"}.get(word, word) if isinstance(word, str) else word
    )


def as_list(value: object) -> object:
    """A list that may also be one word; file names may hold commas."""
    return [value] if isinstance(value, str) else value


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


def template_of(written: str) -> str:
    """A template of prompts as it is written.

    Raises:
        ValueError: it has no place for the name of a class, several, or another brace.
    """
    rest = written.replace("{}", "", 1)
    if written != "openai" and (rest == written or "{" in rest or "}" in rest):
        raise ValueError(
            "expected openai, or a text with one {} in the place of the class, such as "
            "'a photo of a {}.'"
        )
    return written
