"""How results of older schema versions are brought to the next one, as plain documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from audit.result.shown_pairs import picture_key

__all__ = ["MIGRATIONS", "Document", "Migration"]

Document: TypeAlias = dict[str, Any]  # what `json` reads
Migration: TypeAlias = Callable[[Document], Document]


def from_version_1(document: Document) -> Document:
    """Version 1 held pictures within figures, times beside what they timed, and ``relatives``.

    What is no result of version 1 is left for the schema to refuse.
    """
    pairs: Document = {}
    pictures: dict[str, str] = {}
    for figure in _figures_of_pairs(document):
        shown = figure.pop("picture")
        figure["pair"] = pair = shown["pair"]
        png = str(shown.get("png") or "")
        if pair not in pairs or (png and pairs[pair]["picture"] is None):
            key = picture_key(png) if png else None
            pairs[pair] = {"text": shown["text"], "picture": key, "mask": shown.get("mask")}
            pictures |= {key: png} if key else {}
    conditions, checks = _table(document, "conditions"), _tables(document, "checks")
    timing = {
        new: conditions.pop(old)
        for old, new in (("started", "started"), ("seconds", "gathering"))
        if old in conditions
    }
    spent = {str(check.get("id")): check.pop("seconds", None) for check in checks}
    timing["judging"] = {check: seconds for check, seconds in spent.items() if seconds is not None}
    moved = {"timing": timing, "equivalences": document.pop("relatives", [])}
    return {**document, **moved, "shown_pairs": pairs, "pictures": pictures}


MIGRATIONS: Final[Mapping[int, Migration]] = {1: from_version_1}
"""From each older version to the next one. Fields that are added with a default need no entry."""


def _figures_of_pairs(document: Document) -> Iterator[Document]:
    """The figures of findings and of the gallery that hold a picture."""
    every = [
        figure
        for check in _tables(document, "checks")
        for figure in _tables(_table(check, "finding"), "figures")
    ]
    for figure in (*every, *_tables(document, "gallery")):
        shown = _table(figure, "picture")
        if isinstance(shown.get("pair"), str) and isinstance(shown.get("text"), str):
            yield figure


def _table(document: Document, name: str) -> Document:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _tables(document: Document, name: str) -> list[Document]:
    found = document.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
