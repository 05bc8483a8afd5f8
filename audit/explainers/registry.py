"""The registered explainers, and how one is loaded by its name."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from audit.explainers.binding import bound_alike, needs_met
from audit.explainers.built_in import BUILT_IN, BuiltIn
from audit.explainers.contract import Explainer
from audit.explainers.controls import inverted
from audit.explainers.errors import ExplainerImportError
from audit.explainers.explainer_class import (
    ExplainerClass,
    expect_explainer_class,
    expect_explainer_function,
)
from audit.explainers.identities import IDENTITIES, partners_of, spec_of
from audit.explainers.importing import from_file, from_module, from_plugin
from audit.explainers.known_names import FORMS, QUERY, WHAT, plugins, registered, unknown_explainer
from audit.explainers.options import Option, asked_for, convert_options, options_of
from audit.explainers.saved_maps import SavedMaps, saved_maps
from audit.foreign_import import no_function_named
from audit.former_names import present_explainer


@dataclass(frozen=True)
class Listed:
    """An explainer as `audit list explainers` and `audit explain` show it.

    Attributes:
        name: how it is asked for.
        summary: one sentence of what it does.
        options: what can be set.
        text_specific: False where it cannot depend on the text by design.
        model_free: True for controls that never look at the model.
        faithful_twin: the same method, by default, without its modification of the model.
        needs: ``heads`` where it reads attention heads.
        cost: of a map, in forward (F) and backward (B) passes; empty where nobody says.
        modifies: what of the model's own computation it changes; empty where nobody says.
        description: its whole docstring.
    """

    name: str
    summary: str
    options: tuple[Option, ...] = ()
    text_specific: bool = True
    model_free: bool = False
    faithful_twin: str | None = None
    needs: str = ""
    cost: str = ""
    modifies: str = ""
    description: str = ""


UNMODIFIED = (
    "grad-eclip?heads=model",
    "grad-eclip?heads=model&weight=none",
    "legrad?score=model",
    "maskclip?attention=model",
)
"""Settings that people write themselves: of methods without their modification of the model."""


def list_explainers() -> list[Listed]:
    """All explainers by name: built-in ones, plug-ins, then the forms that take another name."""
    return [Listed(n, FORMS[n]) if n in FORMS else _listed(n) for n in registered()]


def load_explainer(spec: str, options: Mapping[str, str] | None = None) -> Explainer:
    """An explainer with its options bound.

    Args:
        spec: a registered name or plug-in, ``path/to/file.py:function``,
            ``package.module:function`` (or a class in either), ``inverted:SPEC``,
            ``maps:FILE.npz``, ``captum:CLASS`` or ``pytorch-grad-cam:CLASS``; options may follow as
            ``?key=value&key=value``. A former name works as well.
        options: further options, which take precedence.

    Raises:
        UnknownExplainerError: for a name that is not registered.
        UnknownOptionError: for an option or value that the explainer does not take.
        ExplainerImportError: where a file or module cannot be imported or has no such function.
    """
    spec, _ = present_explainer(spec)
    match = QUERY.match(spec)
    name, query = (match["name"], match["query"]) if match else (spec, "")
    given = {**dict(parse_qsl(query, keep_blank_values=True)), **(options or {})}
    prefix, _, rest = name.partition(":")
    if prefix == "inverted" and rest:
        return inverted(load_explainer(rest, given))
    return _bind(name, _resolve(name), given)


def given_explainer(
    call: Callable[..., Any], name: str, options: Mapping[str, str] | None = None
) -> Explainer:
    """An explainer out of a function, a class or another callable, with its options bound.

    Args:
        call: ``(model, images, targets) -> maps``, or a class that is built with the model and
            called with ``(images, targets)``.
        name: in reports; that of no registered explainer.
        options: what it takes beside the pairs.

    Raises:
        UnknownOptionError: for an option or value that it does not take.
        ExplainerImportError: it cannot be called so.
    """
    if isinstance(call, type):
        expect_explainer_class(call, name)
    return _bind(name, call, options or {})


def comparable_with(explainer: Explainer, *, explains_text: bool) -> list[Explainer]:
    """The registered explainers whose maps those of an explainer are compared with.

    All of few passes, those that are known to be related to one of these in a setting of their own,
    and those that are known to be related to the explainer itself. They are bound to the model that
    the explainer is bound to.

    Args:
        explainer: the explainer, which is not among them.
        explains_text: whether its map is one of the text's tokens; theirs are then as well.
    """
    own = spec_of(explainer.name, explainer.options)
    few = [name for name, one in BUILT_IN.items() if not one.many_passes]
    related = [side for known in IDENTITIES for side in (known.one, known.other)]
    specs = dict.fromkeys([*partners_of(own), *few, *related, *UNMODIFIED])
    others = [load_explainer(spec) for spec in specs if spec != own]
    others = [other for other in others if other.explains_text == explains_text]
    model = explainer.at_hand
    if model is None:
        return others
    return [bound_alike(other, model) for other in others if needs_met(other, model.lacks)]


def reduced(spec: str) -> str:
    """What a built-in explainer does less of than by default, in words; empty for nothing.

    Args:
        spec: of any explainer; of its options those count that make its map cost less.
    """
    name, _, query = spec.partition("?")
    built_in = BUILT_IN.get(name)
    if built_in is None or not built_in.cheaper or not query:
        return ""
    options = options_of(_resolve(name))
    published = {o.name: "the default" if o.default == "None" else o.default for o in options}
    return ", ".join(
        f"{key} {value} instead of {published[key]}"
        for key, value in parse_qsl(query)
        if key in built_in.cheaper and value != published[key]
    )


def _resolve(name: str) -> Callable[..., Any]:
    if name in BUILT_IN:
        module, _, function = BUILT_IN[name].target.partition(":")
        return getattr(importlib.import_module(f"audit.explainers.{module}"), function)  # type: ignore[no-any-return]
    plugged = plugins()
    if name in plugged:
        return from_plugin(plugged[name])
    place, _, function = name.rpartition(":")
    adapter = _adapter(name)
    if adapter is not None:
        return adapter
    if name.endswith(".py"):
        raise ExplainerImportError(no_function_named(WHAT, name))
    if place.endswith(".py"):
        return from_file(place, function)
    if place and all(part.isidentifier() for part in f"{place}.{function}".split(".")):
        return from_module(place, function)
    raise unknown_explainer(name)


def _adapter(name: str) -> Callable[..., Any] | None:
    """What stands behind a prefix of our own, None where the name has none."""
    prefix, _, rest = name.partition(":")
    if prefix == "maps":
        return saved_maps(rest)
    if prefix == "captum":
        from audit.explainers.captum_adapter import captum_explainer

        return captum_explainer(rest)
    if prefix == "pytorch-grad-cam":
        from audit.explainers.grad_cam_adapter import grad_cam_explainer

        return grad_cam_explainer(rest)
    return None


def _bind(name: str, call: Callable[..., Any], given: Mapping[str, str]) -> Explainer:
    values = convert_options(call, given, name)
    if not isinstance(call, type):
        expect_explainer_function(call, name)
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
        explains_text=bool(getattr(declared, "explains_text", False)),
        stochastic=bool(getattr(declared, "stochastic", False)),
        model_free=bool(getattr(declared, "model_free", False)),
        saved=bool(getattr(declared, "saved", False)),
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
    defaults = {o.name: o.default for o in options_of(call) if o.default not in (None, "None")}
    asked = defaults | dict(given)
    plain = asked | dict(built_in.unmodified)
    return None if plain == asked else f"{name}?{urlencode(plain)}"


def _summary(call: Callable[..., Any]) -> str:
    return (inspect.getdoc(call) or "").partition("\n")[0]


def _source(call: Callable[..., Any]) -> tuple[str | None, int | None]:
    """File and first line of a callable, of what was typed the name that Python gives it."""
    plain: Any = inspect.unwrap(call)
    try:
        if isinstance(plain, SavedMaps):
            return plain.source_file, None
        return inspect.getsourcefile(plain), inspect.getsourcelines(plain)[1]
    except (TypeError, OSError):
        pass
    made = next((vars(plain)[n] for n in ("__init__", "__call__") if n in vars(plain)), None)
    code = getattr(made if isinstance(plain, type) else plain, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else (None, None)


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
        str(getattr(declared, "cost", "")),
        str(getattr(declared, "modifies", "")),
        inspect.getdoc(call) or "",
    )
