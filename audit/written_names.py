"""What a Python file defines, read without running it: a slip of the pen is answered at once."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

_MADE = frozenset({"globals", "locals", "vars", "exec", "eval", "setattr"})
"""Functions that may give a module names that are not written in it."""


@dataclass(frozen=True)
class Written:
    """A Python file as it is written.

    Attributes:
        file: where it lies.
        names: what it gives names to at its top level, with the statement that does.
        complete: nothing but running it could add another name.
    """

    file: Path
    names: Mapping[str, ast.stmt]
    complete: bool

    def lacks(self, name: str) -> bool:
        """Whether there is surely no such name in it, or in a class of it, as in ``Class.method``.

        What lies within a name is not looked at.
        """
        return self.complete and name.partition(".")[0] not in self.names

    def callables(self) -> list[str]:
        """Its public functions and classes."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return [n for n, s in self.names.items() if isinstance(s, kinds) and not n.startswith("_")]


def read_written(file: Path) -> Written | None:
    """Read a file; None where it is no readable Python, which running it tells better."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    names: dict[str, ast.stmt] = {}
    complete = True
    for statement in _top_level(tree.body):
        for name in _bound(statement):
            complete = complete and name not in {"*", "__getattr__"}
            names[name] = statement
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names |= dict.fromkeys(node.names, node)
        made = isinstance(node, ast.Name) and node.id in _MADE
        if made or (isinstance(node, ast.Attribute) and node.attr in {"modules", "__dict__"}):
            complete = False
    return Written(file, names, complete)


def find_module(name: str, folder: Path | None = None) -> Path | None:
    """The file of a module, found without importing it or what it lies in; None where unknown.

    Args:
        name: such as ``package.module``.
        folder: that is looked at first.

    Raises:
        ModuleNotFoundError: there is surely no module of its first name.
    """
    first, *rest = name.split(".")
    if first in sys.modules or first in sys.builtin_module_names:
        spec = importlib.util.find_spec(first)
    else:
        spec = PathFinder.find_spec(first, [*([str(folder)] if folder else []), *sys.path])
        if spec is None and importlib.util.find_spec(first) is None:
            raise ModuleNotFoundError(f"No module named '{first}'")
    for part in rest:
        places = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(part, list(places)) if places else None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the file does, those within ``if``, ``try`` and loops included."""
    for statement in body:
        yield statement
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for held in ("body", "orelse", "finalbody"):
                yield from _top_level(getattr(statement, held, []))
            for held in ("handlers", "cases"):
                for one in getattr(statement, held, []):
                    yield from _top_level(one.body)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement gives."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield statement.name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        for one in statement.names:
            yield one.asname or one.name.partition(".")[0]
    else:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
                yield node.name
