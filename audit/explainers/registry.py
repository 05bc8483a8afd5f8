"""The registered explainers, and how one is loaded by its name."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from audit.explainers.binding import bound_alike, needs_met
from audit.explainers.built_in import BUILT_IN, CHEAP, BuiltIn
from audit.explainers.contract import Explainer
from audit.explainers.controls import inverted
from audit.explainers.errors import ExplainerImportError, UnknownExplainerError
from audit.explainers.explainer_class import ExplainerClass
from audit.explainers.importing import from_file, from_module, from_plugin, plugins
from audit.explainers.options import Option, asked_for, convert_options, options_of
from audit.former_names import present_explainer
from audit.nearest_name import hint


@dataclass(frozen=True)
class Listed:
    """An explainer as `audit list explainers` shows it."""

    name: str
    summary: str
    options: tuple[Option, ...] = ()
    text_specific: bool = True
    model_free: bool = False
    faithful_twin: str | None = None
    needs: str = ""


_FORMS = (
    Listed("inverted:<explainer>", "The maximum of an explainer's map minus that map."),
    Listed("captum:<class>", "A method of captum.attr on the score, such as Saliency."),
    Listed("pytorch-grad-cam:<class>", "A method of pytorch-grad-cam, such as GradCAM."),
)
_QUERY = re.compile(r"^(?P<name>.+?)\?(?P<query>[^?=&]+=[^?&]*(?:&[^?=&]+=[^?&]*)*)$")


def list_explainers() -> list[Listed]:
    """All explainers by name: built-in ones, plug-ins, then the forms that take another name."""
    plugged = [_listed(name) for name in sorted(plugins()) if name not in BUILT_IN]
    return [*(_listed(name) for name in BUILT_IN), *plugged, *_FORMS]


def load_explainer(spec: str, options: Mapping[str, str] | None = None) -> Explainer:
    """An explainer with its options bound.

    Args:
        spec: a registered name or plug-in, ``path/to/file.py:function``,
            ``package.module:function`` (or a class in either), ``inverted:SPEC``,
            ``captum:CLASS`` or ``pytorch-grad-cam:CLASS``; options may follow as
            ``?key=value&key=value``. A former name works as well.
        options: further options, which take precedence.

    Raises:
        UnknownExplainerError: for a name that is not registered.
        UnknownOptionError: for an option or value that the explainer does not take.
        ExplainerImportError: where a file or module cannot be imported or has no such function.
    """
    spec, _ = present_explainer(spec)
    match = _QUERY.match(spec)
    name, query = (match["name"], match["query"]) if match else (spec, "")
    given = {**dict(parse_qsl(query, keep_blank_values=True)), **(options or {})}
    prefix, _, rest = name.partition(":")
    if prefix == "inverted" and rest:
        return inverted(load_explainer(rest, given))
    return _bind(name, _resolve(name), given)


def equivalents_of(explainer: Explainer) -> list[Explainer]:
    """The registered explainers that may give the same maps as an explainer, to be compared with.

    A built-in one is compared with its equivalent under the same options, any other one with all
    that cost about one forward pass. They are bound to the model that the explainer is bound to.
    """
    if explainer.name in BUILT_IN:
        names = BUILT_IN[explainer.name].equivalents
        others = [load_explainer(name, explainer.options) for name in names]
    else:
        others = [load_explainer(spec) for spec in CHEAP]
    model = explainer.at_hand
    if model is None:
        return others
    return [bound_alike(other, model) for other in others if needs_met(other, model.lacks)]


def _resolve(name: str) -> Callable[..., Any]:
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].target.partition(":")
        return getattr(importlib.import_module(f"audit.explainers.{module}"), function)  # type: ignore[no-any-return]
    plugged = plugins()
    if name in plugged:
        return from_plugin(plugged[name])
    place, _, function = name.rpartition(":")
    if place == "captum":
        from audit.explainers.captum_adapter import captum_explainer

        return captum_explainer(function)
    if place == "pytorch-grad-cam":
        from audit.explainers.grad_cam_adapter import grad_cam_explainer

        return grad_cam_explainer(function)
    if name.endswith(".py"):
        raise ExplainerImportError(
            f"explainer '{name}': expected a function after the file; write '{name}:function'"
        )
    if place.endswith(".py"):
        return from_file(place, function)
    if place and all(part.isidentifier() for part in f"{place}.{function}".split(".")):
        return from_module(place, function)
    raise UnknownExplainerError(
        f"unknown explainer '{name}'{hint(name, [*BUILT_IN, *plugged])}; `audit list "
        "explainers` shows all; a file is given as path/to/file.py:function, a module as "
        "package.module:function"
    )


def _bind(name: str, call: Callable[..., Any], given: Mapping[str, str]) -> Explainer:
    values = convert_options(call, given, name)
    built_in = BUILT_IN.get(name)
    declared: Any = built_in or call
    file, line = _source(call)
    explain = ExplainerClass(call) if isinstance(call, type) else call
    return Explainer(
        name=name,
        explain=functools.partial(explain, **values) if values else explain,
        options=dict(given),
        summary=_summary(call),
        faithful_twin=_twin(name, built_in, call, given),
        text_specific=bool(getattr(declared, "text_specific", True)),
        stochastic=bool(getattr(declared, "stochastic", False)),
        model_free=bool(getattr(declared, "model_free", False)),
        needs=str(getattr(declared, "needs", "")),
        needs_also=() if built_in is None else built_in.needs_with(given),
        asks=asked_for(call),
        source_file=file,
        source_line=line,
    )


def _twin(
    name: str, built_in: BuiltIn | None, call: Callable[..., Any], given: Mapping[str, str]
) -> str | None:
    """The same method without its modification of the model, as a spec."""
    if built_in is None:
        return getattr(call, "faithful_twin", None)
    asked = {option.name: option.default or "" for option in options_of(call)} | dict(given)
    plain = asked | dict(built_in.unmodified)
    return None if plain == asked else f"{name}?{urlencode(plain)}"


def _summary(call: Callable[..., Any]) -> str:
    return (inspect.getdoc(call) or "").partition("\n")[0]


def _source(call: Callable[..., Any]) -> tuple[str | None, int | None]:
    try:
        plain = inspect.unwrap(call)
        return inspect.getsourcefile(plain), inspect.getsourcelines(plain)[1]
    except (TypeError, OSError):
        return None, None


def _listed(name: str) -> Listed:
    try:
        call = _resolve(name)
    except ExplainerImportError as error:
        return Listed(name, f"Cannot be loaded: {error}")
    options = options_of(call)
    needed = {o.name for o in options if o.default is None}
    built_in = BUILT_IN.get(name)
    declared: Any = built_in or call
    return Listed(
        name,
        _summary(call),
        options,
        bool(getattr(declared, "text_specific", True)),
        bool(getattr(declared, "model_free", False)),
        None if needed else _twin(name, built_in, call, {}),
        str(getattr(declared, "needs", "")),
    )
