"""Code outside this package that the user names: files, modules and entry points."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

from audit.nearest_name import hint


@dataclass(frozen=True)
class Importer:
    """Imports what a user names, and says what went wrong in the words of what is wanted.

    Attributes:
        what: is wanted, such as ``explainer``.
        form: of the function that is wanted, such as ``(model, images, targets) -> maps``.
        error: made of a message, and of the original traceback where something raised.
        expect_class: raises where a class, of this name, cannot stand for the function.
    """

    what: str
    form: str
    error: Callable[[str, str], Exception]
    expect_class: Callable[[type, str], None] | None = None

    def from_plugin(self, point: EntryPoint) -> Callable[..., Any]:
        """The callable of an entry point; an error where it cannot be imported or is none."""
        with self._explained(f"{point.name} (entry point {point.value})"):
            loaded = point.load()
        return self._callable(loaded, point.name)

    def from_file(self, path: str, function: str) -> Callable[..., Any]:
        """A function of a Python file, whose folder is importable, as that of a script is.

        Raises:
            Exception: ``error``, where the file is missing or does not import, or has no such
                function.
        """
        file = Path(path).expanduser()
        if not file.is_file():
            raise self.error(no_file(self.what, path, function), "")
        file = file.resolve()
        digest = hashlib.sha256(str(file).encode()).hexdigest()[:8]
        name = f"audit_{self.what}_{file.stem}_{digest}"
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None  # noqa: S101 - only a name that is no .py file gives None
        assert spec.loader is not None  # noqa: S101 - likewise
        module = importlib.util.module_from_spec(spec)
        with self._explained(f"{path}:{function}"), _importable(file.parent):
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        return self._member(module, function, f"{path}:{function}")

    def from_module(self, module: str, function: str) -> Callable[..., Any]:
        """A function of a module; the current folder is importable.

        Raises:
            Exception: ``error``, where the module does not import or has no such function.
        """
        with self._explained(f"{module}:{function}"), _importable(Path.cwd()):
            imported = importlib.import_module(module)
        return self._member(imported, function, f"{module}:{function}")

    def _member(self, module: ModuleType, path: str, name: str) -> Callable[..., Any]:
        found: Any = module
        for part in path.split("."):
            if not hasattr(found, part):
                names = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")]
                raise self.error(no_member(self.what, name, path, module.__file__, names), "")
            found = getattr(found, part)
        return self._callable(found, name)

    def _callable(self, found: Any, name: str) -> Callable[..., Any]:
        if not callable(found):
            raise self.error(
                f"{self.what} '{name}': expected a function {self.form}, got "
                f"{type(found).__name__}",
                "",
            )
        if isinstance(found, type) and self.expect_class is not None:
            self.expect_class(found, name)
        return found  # type: ignore[no-any-return]

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn whatever a foreign import raises into one line, with the traceback attached."""
        try:
            yield
        except (Exception, SystemExit) as error:
            told = no_import(self.what, name, error)
            raise self.error(told, traceback.format_exc()) from error


def no_file(what: str, path: str, function: str) -> str:
    """What is said of a Python file that is not there."""
    return (
        f"{what} '{path}:{function}': expected a Python file, found none at '{path}'; check the "
        "path (it is read relative to the current folder)"
    )


def no_function_named(what: str, path: str) -> str:
    """What is said of a Python file without a function."""
    return f"{what} '{path}': expected a function after the file; write '{path}:function'"


def no_member(
    what: str, name: str, path: str, file: str | Path | None, names: Iterable[str]
) -> str:
    """What is said of a function that a file does not have.

    Args:
        what: is wanted, such as ``explainer``.
        name: as the user wrote it.
        path: of the function in the file, such as ``Class.method``.
        file: the file.
        names: of the functions that it has.
    """
    close = hint(path.rpartition(".")[2], names)
    return f"{what} '{name}': expected a function '{path}', found none in '{file}'{close}"


def no_import(what: str, name: str, error: BaseException) -> str:
    """What is said of code that does not import."""
    cause = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"{what} '{name}': expected it to import, got {cause}"


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
