"""Options of an explainer: the keyword-only parameters of its function, given as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from audit.explainers.errors import UnknownOptionError
from audit.nearest_name import hint

_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_PLAIN = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True)
class Option:
    """An option of an explainer.

    Attributes:
        name: the keyword.
        kind: the annotation: a `Literal`, or bool, int, float or str.
        default: its default as text, None where it must be given.
    """

    name: str
    kind: Any
    default: str | None

    @property
    def allowed(self) -> str:
        """The values that it takes, in words."""
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
    """The options of a function: its keyword-only parameters, in order."""
    return tuple(
        Option(p.name, _kind(p.annotation), None if p.default is p.empty else str(p.default))
        for p in _signature(call).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    )


def convert_options(
    call: Callable[..., Any], given: Mapping[str, str], explainer: str
) -> dict[str, Any]:
    """Convert given options to the types that a function declares.

    Raises:
        UnknownOptionError: for an option or value that the function does not take, or one that it
            needs and did not get.
    """
    known = {option.name: option for option in options_of(call)}
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
    return _PLAIN.get(annotation, str) if isinstance(annotation, str) else annotation


def _convert(kind: Any, text: str) -> Any:
    if get_origin(kind) is Literal:
        return {str(value): value for value in get_args(kind)}[text]
    if kind is bool:
        return _WORDS[text.lower()]
    if kind in (int, float, str):
        return kind(text)
    raise ValueError(kind)
