"""What can be told of an explainer's name and options by reading, without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl

from audit import foreign_import
from audit.explainers.built_in import BUILT_IN
from audit.explainers.errors import ExplainerImportError, UnknownExplainerError
from audit.explainers.known_names import (
    INVERTED,
    QUERY,
    WHAT,
    expect_known_name,
    no_saved_maps,
    plugins,
    unknown_method,
)
from audit.explainers.options import ASKED_FOR, Option, converted
from audit.written_names import Written, find_module, read_written

_ADAPTED = {"captum": "captum.attr", "pytorch-grad-cam": "pytorch_grad_cam"}
_PLAIN: Mapping[str, Any] = {"bool": bool, "int": int, "float": float, "str": str}
_KEEPING = frozenset({"no_grad", "enable_grad", "inference_mode"})
_PAIRS = 3  # parameters that take model, images and targets


def expect_written(spec: str, options: Mapping[str, str] | None = None) -> None:
    """Refuse an explainer that surely cannot be loaded, before anything heavy is imported.

    What only an import can tell is let through.

    Args:
        spec: as `audit.explainers.registry.load_explainer` takes it.
        options: further options.

    Raises:
        UnknownExplainerError: nothing has this name.
        ExplainerImportError: there is no such file or module, or no such function in it.
        UnknownOptionError: an option or value that the function does not take.
    """
    expect_known_name(spec)
    name = spec
    given: dict[str, str] = {}
    while name.startswith(INVERTED):
        name = name.removeprefix(INVERTED)
    if match := QUERY.match(name):
        name, given = match["name"], dict(parse_qsl(match["query"], keep_blank_values=True))
    given |= options or {}
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].target.partition(":")
        _expect_options(name, read_written(Path(__file__).parent / f"{module}.py"), function, given)
    elif name not in plugins():
        _expect_place(name, given)


def _expect_place(name: str, given: Mapping[str, str]) -> None:
    place, _, function = name.rpartition(":")
    prefix, _, rest = name.partition(":")
    if name.endswith(".py"):
        raise ExplainerImportError(foreign_import.no_function_named(WHAT, name))
    if prefix == "maps":
        if not Path(rest).is_file():
            raise ExplainerImportError(no_saved_maps(rest))
    elif prefix in _ADAPTED:
        _expect_method(prefix, rest)
    elif place.endswith(".py"):
        file = Path(place).expanduser()
        if not file.is_file():
            raise ExplainerImportError(foreign_import.no_file(WHAT, place, function))
        _expect_function(name, read_written(file.resolve()), function, given)
    elif all(part.isidentifier() for part in place.split(".")):
        try:
            file_of = find_module(place, Path.cwd())
        except ModuleNotFoundError as error:
            told = foreign_import.no_import(WHAT, name, error)
            raise ExplainerImportError(told) from error
        _expect_function(name, read_written(file_of) if file_of else None, function, given)


def _expect_method(prefix: str, method: str) -> None:
    """A class of an adapted library, as its package lists them."""
    try:
        file = find_module(_ADAPTED[prefix])
    except ModuleNotFoundError:
        return
    written = read_written(file) if file else None
    if written and written.lacks(method):
        names = [name for name in written.names if name[:1].isupper()]
        raise UnknownExplainerError(unknown_method(prefix, method, names, _ADAPTED[prefix]))


def _expect_function(
    name: str, written: Written | None, function: str, given: Mapping[str, str]
) -> None:
    if written and written.lacks(function):
        told = foreign_import.no_member(WHAT, name, function, written.file, written.callables())
        raise ExplainerImportError(told)
    _expect_options(name, written, function, given)


def _expect_options(
    name: str, written: Written | None, function: str, given: Mapping[str, str]
) -> None:
    statement = written.names.get(function) if written else None
    if written and isinstance(statement, ast.FunctionDef) and _takes_what_it_says(statement):
        converted(written_options(statement, written), given, name)


def _takes_what_it_says(function: ast.FunctionDef) -> bool:
    """Whether no decorator, but those of torch that keep parameters, could change them."""
    plain = [one.func if isinstance(one, ast.Call) else one for one in function.decorator_list]
    return all(isinstance(one, ast.Attribute) and one.attr in _KEEPING for one in plain)


def written_options(function: ast.FunctionDef, written: Written) -> dict[str, Option]:
    """The options of a function as it is written, see `audit.explainers.options.options_of`."""
    taken = function.args
    placed = [*taken.posonlyargs, *taken.args]
    unset: list[ast.expr | None] = [None] * (len(placed) - len(taken.defaults))
    defaults = [*unset, *taken.defaults, *taken.kw_defaults]
    both = list(zip([*placed, *taken.kwonlyargs], defaults, strict=True))
    first = min(max(_PAIRS, len(taken.posonlyargs)), len(placed))
    return {
        one.arg: Option(
            one.arg,
            _kind(one.annotation, written),
            None if default is None else ast.unparse(default),
        )
        for one, default in both[first:]
        if one.arg not in ASKED_FOR
    }


def _kind(annotation: ast.expr | None, written: Written) -> Any:
    """The type of an option, as far as it is written there or in a module of this package."""
    match annotation:
        case None:
            return str
        case ast.Name(id=name) if name in _PLAIN:
            return _PLAIN[name]
        case ast.Name(id=name):
            return _named(name, written)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if all(isinstance(value, ast.Constant) for value in values):
                return Literal[tuple(ast.literal_eval(value) for value in values)]
    return None


def _named(name: str, written: Written) -> Any:
    match written.names.get(name):
        case ast.Assign(value=value):
            return _kind(value, written)
        case ast.ImportFrom(module=str(module), level=0) if module.startswith("audit."):
            file = find_module(module)
            there = read_written(file) if file else None
            return _named(name, there) if there else None
    return None
