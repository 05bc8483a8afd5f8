"""Explainers outside this package: files, modules and entry points."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from audit.explainers.errors import ExplainerImportError
from audit.explainers.explainer_class import expect_explainer_class
from audit.nearest_name import hint

GROUP = "audit.explainers"


def plugins() -> dict[str, EntryPoint]:
    """Entry points of the group ``audit.explainers`` by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def from_plugin(point: EntryPoint) -> Callable[..., Any]:
    """The callable of an entry point.

    Raises:
        ExplainerImportError: where it cannot be imported or is no function.
    """
    with _explained(f"{point.name} (entry point {point.value})"):
        loaded = point.load()
    return _callable(loaded, point.name)


def from_file(path: str, function: str) -> Callable[..., Any]:
    """A function of a Python file, whose folder is importable, as that of a script is.

    Raises:
        ExplainerImportError: where the file is missing or does not import, or has no such function.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ExplainerImportError(
            f"explainer '{path}:{function}': expected a Python file, found none at '{path}'; check "
            "the path (it is read relative to the current folder)"
        )
    file = file.resolve()
    name = f"audit_explainer_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # noqa: S101 - only a name that is no .py file gives None
    assert spec.loader is not None  # noqa: S101 - likewise
    module = importlib.util.module_from_spec(spec)
    with _explained(f"{path}:{function}"), _importable(file.parent):
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return _member(module, function, f"{path}:{function}")


def from_module(module: str, function: str) -> Callable[..., Any]:
    """A function of a module; the current folder is importable.

    Raises:
        ExplainerImportError: where the module does not import or has no such function.
    """
    with _explained(f"{module}:{function}"), _importable(Path.cwd()):
        imported = importlib.import_module(module)
    return _member(imported, function, f"{module}:{function}")


def _member(module: ModuleType, path: str, explainer: str) -> Callable[..., Any]:
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            names = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")]
            raise ExplainerImportError(
                f"explainer '{explainer}': expected a function '{path}', found none in "
                f"'{module.__file__}'{hint(part, names)}"
            )
        found = getattr(found, part)
    return _callable(found, explainer)


def _callable(found: Any, explainer: str) -> Callable[..., Any]:
    if not callable(found):
        raise ExplainerImportError(
            f"explainer '{explainer}': expected a function (model, images, targets) -> maps, got "
            f"{type(found).__name__}"
        )
    if isinstance(found, type):
        expect_explainer_class(found, explainer)
    return found  # type: ignore[no-any-return]


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """First in line during the import, and last from then on, for imports within functions."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)
        if entry not in sys.path:
            sys.path.append(entry)


@contextmanager
def _explained(explainer: str) -> Iterator[None]:
    """Turn whatever a foreign import raises into one line, with the traceback attached."""
    try:
        yield
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ExplainerImportError(
            f"explainer '{explainer}': expected it to import, got {cause}", traceback.format_exc()
        ) from error
