"""Former names of settings, explainers, checks and limits: they still work, and say so.

To rename one of them, give it its new name everywhere and add a line here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

Kind = Literal["setting", "explainer", "check", "limit"]
FORMER: Mapping[Kind, Mapping[str, str]] = {
    "setting": {},
    "explainer": {"centre-prior": "center-prior"},
    "check": {},  # by id, such as P104
    "limit": {  # as CHECK.NAME
        "P201.correlation": "P201.clear",
        "P202.area": "P202.none",
        "P202.worthwhile_area": "P202.clear",
        "P203.correlation": "P203.none",
        "P205.difference": "P205.clear",
        "P206.gain": "P206.none",
    },
}
_SPEC = re.compile(r"^(?P<before>(?:inverted:)*)(?P<name>[^?]*)(?P<options>\?.*)?$", re.DOTALL)


def present_name(kind: Kind, name: str) -> tuple[str, tuple[str, ...]]:
    """The present name of what is called by a present or former one, with notes for the user."""
    now = FORMER[kind].get(name.upper() if kind == "check" else name)
    if now is None:
        return name, ()
    return now, (f"{kind} '{name}' is now called '{now}'; the former name still works.",)


def present_explainer(spec: str) -> tuple[str, tuple[str, ...]]:
    """An explainer's specification under its present name, with notes for the user.

    Args:
        spec: a name or place; ``inverted:`` may stand before it, ``?key=value`` after it.
    """
    match = _SPEC.match(spec)
    if match is None:
        return spec, ()
    name, notes = present_name("explainer", match["name"])
    return f"{match['before']}{name}{match['options'] or ''}", notes


def present_names(kind: Kind, names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Like `present_name`, of several names."""
    found = [present_name(kind, name) for name in names]
    return tuple(name for name, _ in found), tuple(note for _, notes in found for note in notes)


def present_keys(kind: Kind, table: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A table under the present names of its keys; where both are given, the present one counts."""
    former = {present_name(kind, key)[0]: value for key, value in table.items()}
    present = {key: value for key, value in table.items() if key not in FORMER[kind]}
    _, notes = present_names(kind, table)
    return {**former, **present}, notes


def present_thresholds(
    table: Mapping[str, Mapping[str, float]],
) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """Like `present_keys`, of limits by check and name."""
    checks, notes = present_keys("check", table)
    flat = {
        f"{check}.{name}": value for check, own in checks.items() for name, value in own.items()
    }
    limits, more = present_keys("limit", flat)
    found: dict[str, dict[str, float]] = {check: {} for check in checks}
    for key, value in limits.items():
        check, _, name = key.partition(".")
        found.setdefault(check, {})[name] = value
    return found, (*notes, *more)
