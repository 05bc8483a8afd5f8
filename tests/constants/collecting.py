"""The constants that may decide a verdict: read from the source and from the checks' limits."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from principles.catalogue import all_checks

ROOT = Path(__file__).parents[2]
PLACES = (
    "principles",
    "audit/judging",
    "audit/evidence",
    "audit/interventions",
    "audit/statistics",
    "audit/metrics",
    "audit/gate",
    "audit/engine/assembly.py",
    "audit/engine/profiles.py",
)


def collected() -> dict[str, list[Any]]:
    """Values of every limit of a check and of every numeric constant of a module.

    A limit is named ``P106:least_share``, a constant ``package:CONSTANT``, without a leading
    underscore and whichever file of the package it is in.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    for check in all_checks():
        for name, value in check.thresholds.items():
            found[f"{check.id}:{name}"].append(value)
    for path, package in _sources():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in numeric_constants(path.read_text(encoding="utf-8")):
            value = getattr(import_module(module), name)
            found[f"{package}:{name.lstrip('_')}"].append(value)
    return dict(found)


def _sources() -> Iterator[tuple[Path, str]]:
    """The files, each with the package that its constants are named after."""
    for place in PLACES:
        path = Path(place)
        if path.suffix:
            yield ROOT / path, ".".join(path.parent.parts)
        else:
            for one in sorted((ROOT / path).rglob("*.py")):
                yield one, ".".join(path.parts)


def numeric_constants(source: str) -> Iterator[str]:
    """Names that a module binds to a number, or to something that numbers are written in."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        if all(_constant(name) for name in names) and _has_number(node.value):
            yield from names


def _constant(name: str) -> bool:
    return name == name.upper() and any(c.isalpha() for c in name)


def _has_number(value: ast.expr) -> bool:
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "Check":
        return False  # its limits are read from the check itself
    return any(
        isinstance(n, ast.Constant)
        and isinstance(n.value, int | float)
        and not isinstance(n.value, bool)
        for n in ast.walk(value)
    )
