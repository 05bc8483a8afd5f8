"""Options of an explainer, the parameters beside the pairs, given as text; and what it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from audit.explainers.errors import UnknownOptionError
from audit.nearest_name import hint

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
ASKED_FOR = ("interface", "classes", "preprocess", "tokenizer")
"""Keywords that are no options: their values come from the model and the data.

``interface`` is how the model is called (`audit.models.model_under_audit.ModelInterface`),
``classes`` the targets of all classes, ``preprocess`` what makes an input of a picture, and
``tokenizer`` what makes targets of texts or class names.
"""
_PLAIN = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Option:
    """An option of an explainer.

    Attributes:
        name: the keyword.
        kind: the annotation: a `Literal`, or bool, int, float or str; None where it is not known.
        default: its default as text, None where it must be given.
    """

    name: str
    kind: Any
    default: str | None

    @property
    def allowed(self) -> str:
        """The values that it takes, in words."""
        if self.kind is None:
            return "…"
        if get_origin(self.kind) is Literal:
            return "|".join(str(value) for value in get_args(self.kind))
        return "true|false" if self.kind is bool else getattr(self.kind, "__name__", str(self.kind))

    def convert(self, text: str, explainer: str) -> Any:
        """The value that a text stands for.

        Raises:
            UnknownOptionError: where the option takes no such value.
        """
        try:
            return _convert(self.kind, text)
        except (KeyError, ValueError):
            raise UnknownOptionError(
                f"explainer '{explainer}': option '{self.name}' expected {self.allowed}, got "
                f"'{text}'"
            ) from None


def options_of(call: Callable[..., Any]) -> tuple[Option, ...]:
    """The options of a function or class, in order: what it takes by keyword beside the pairs.

    A function is given model, images and targets by position, a class the model.
    """
    return tuple(
        Option(p.name, _kind(p.annotation), None if p.default is p.empty else str(p.default))
        for p in _keywords(call)
        if p.name not in ASKED_FOR
    )


def asked_for(call: Callable[..., Any]) -> tuple[str, ...]:
    """What a function or class asks for by keyword, out of `ASKED_FOR`."""
    return tuple(p.name for p in _keywords(call) if p.name in ASKED_FOR)


def convert_options(
    call: Callable[..., Any], given: Mapping[str, str], explainer: str
) -> dict[str, Any]:
    """Convert given options to the types that a function declares.

    Raises:
        UnknownOptionError: for an option or value that the function does not take, or one that it
            needs and did not get.
    """
    return converted({option.name: option for option in options_of(call)}, given, explainer)


def converted(
    known: Mapping[str, Option], given: Mapping[str, str], explainer: str
) -> dict[str, Any]:
    """The values of given options.

    Args:
        known: the options that there are, by name.
        given: as text.
        explainer: for messages.

    Raises:
        UnknownOptionError: see `convert_options`.
    """
    for name in given:
        if name not in known:
            listed = ", ".join(f"{o.name}={o.allowed}" for o in known.values()) or "none"
            raise UnknownOptionError(
                f"explainer '{explainer}': unknown option '{name}'{hint(name, known)}; its "
                f"options: {listed}"
            )
    missing = [o.name for o in known.values() if o.default is None and o.name not in given]
    if missing:
        raise UnknownOptionError(
            f"explainer '{explainer}': expected option '{missing[0]}', which has no default; give "
            f"{missing[0]}={known[missing[0]].allowed}"
        )
    return {name: known[name].convert(text, explainer) for name, text in given.items()}


def _keywords(call: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that can be given by keyword and are not taken by position."""
    by_position = 1 if isinstance(call, type) else 3
    listed = list(_signature(call).parameters.values())
    first = [p for p in listed if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    taken = {p.name for p in first[:by_position]}
    kinds = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return [p for p in listed if p.kind in kinds and p.name not in taken]


def _signature(call: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(call, eval_str=True)
    except (NameError, AttributeError, TypeError, SyntaxError):  # annotations for type checkers
        pass
    try:
        return inspect.signature(call)
    except (TypeError, ValueError):  # a callable written in C
        return inspect.Signature()


def _kind(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return str
    if isinstance(annotation, str):
        return _PLAIN.get(annotation, str)
    if get_origin(annotation) in {Union, UnionType}:  # an option that may be left out
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def _convert(kind: Any, text: str) -> Any:
    if kind is None:
        return text
    if get_origin(kind) is Literal:
        return {str(value): value for value in get_args(kind)}[text]
    if kind is bool:
        return _WORDS[text.lower()]
    if kind in (int, float, str):
        return kind(text)
    raise ValueError(kind)
