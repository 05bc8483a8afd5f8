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


def of_the_trace() -> dict[str, Any]:
    """Values of every numeric constant of the trace, and of the numbers that have no name.

    A constant is named ``module:CONSTANT`` without a leading underscore, a number without a name
    ``literal: module value``.
    """
    found: dict[str, Any] = {}
    for path in sorted((ROOT / "audit/trace").glob("*.py")):
        module, source = import_module(f"audit.trace.{path.stem}"), path.read_text(encoding="utf-8")
        for name in numeric_constants(source):
            found[f"{path.stem}:{name.lstrip('_')}"] = getattr(module, name)
        for value in numeric_literals(source):
            found[f"literal: {path.stem} {value}"] = value
    return found


def numeric_literals(source: str) -> Iterator[float]:
    """Numbers without a name that may decide something, in the order of the source.

    All that are no integers but for zero and exponents, and integers that something is compared
    with, but for indices and small ones: none, one or two of anything, or up to four axes or
    operands.
    """
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    left_out = {id(n) for node in nodes for part in _no_quantities(node) for n in ast.walk(part)}
    compared = {n: most for node in nodes for n, most in _compared(node)}
    for node in nodes:
        if not isinstance(node, ast.Constant) or id(node) in left_out:
            continue
        value = node.value
        least = 0.0 if isinstance(value, float) else compared.get(node)
        if type(value) in {int, float} and least is not None and abs(value) > least:
            yield value


def _no_quantities(node: ast.AST) -> Iterator[ast.expr]:
    """Parts that are exponents, indices or axes, and what has a name."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        yield node.right
    elif isinstance(node, ast.Subscript):
        yield node.slice
    elif isinstance(node, ast.keyword) and node.arg == "dim":
        yield node.value
    elif isinstance(node, ast.Module):
        for statement in node.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                stored = [n for n in ast.walk(statement) if isinstance(n, ast.Name)]
                if any(isinstance(n.ctx, ast.Store) and _constant(n.id) for n in stored):
                    yield statement.value


def _compared(node: ast.AST) -> Iterator[tuple[ast.Constant, int]]:
    """Numbers in a comparison, and up to what they are no quantity."""
    if isinstance(node, ast.Compare):
        words = {getattr(n, "attr", getattr(n, "id", "")) for n in ast.walk(node)}
        most = 4 if words & {"ndim", "len", "numel", "shape"} else 2
        yield from ((n, most) for n in ast.walk(node) if isinstance(n, ast.Constant))


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
