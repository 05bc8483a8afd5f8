"""The pictures of a result: figures name pairs, and the pixels are filled in at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audit.result.schema import Result

_KEYS = {"pair", "text", "png"}


def pairs_shown(result: Result) -> list[str]:
    """Pairs whose picture a result shows, each once."""
    return list(dict.fromkeys(str(node["pair"]) for node in _pictures(result.model_dump())))


def pictures_of(result: Result) -> dict[str, str]:
    """PNG of every pair that a result shows."""
    return {str(n["pair"]): str(n["png"]) for n in _pictures(result.model_dump()) if n["png"]}


def with_pictures(result: Result, pngs: Mapping[str, str]) -> Result:
    """Fill in the pictures that figures refer to by pair."""
    document = result.model_dump()
    for node in _pictures(document):
        node["png"] = node["png"] or pngs.get(str(node["pair"]), "")
    return Result.model_validate(document)


def _pictures(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, dict):
        if node.keys() >= _KEYS:
            yield node
        for value in node.values():
            yield from _pictures(value)
    elif isinstance(node, list):
        for item in node:
            yield from _pictures(item)
