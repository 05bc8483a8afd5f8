"""Which classes of captum.attr can be adapted, and how one of each kind is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from audit.explainers.errors import ExplainerImportError, UnknownExplainerError
from audit.explainers.known_names import unknown_method

TAKES_MODEL = ("model", "forward_func")
WEIGHS_CHANNELS = frozenset({"LayerGradCam", "GuidedGradCam"})
_AROUND = "attribution_method"
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class Method:
    """A class of captum.attr.

    Attributes:
        name: of the class.
        cls: the class.
        first: what it takes first: ``forward_func``, ``model`` or ``attribution_method``.
        takes_layer: whether it takes a layer as well.
    """

    name: str
    cls: Any
    first: str
    takes_layer: bool

    @property
    def weighs_channels(self) -> bool:
        """Whether it takes the second axis of a layer's output for channels."""
        return self.name in WEIGHS_CHANNELS

    @property
    def attribute_parameters(self) -> Mapping[str, inspect.Parameter]:
        """What its `attribute` takes."""
        return inspect.signature(self.cls.attribute).parameters

    @property
    def further_options(self) -> list[inspect.Parameter]:
        """Options of the adapter beside those of `attribute`."""
        options = []
        if self.takes_layer:
            options.append(inspect.Parameter("layer", _KEYWORD, default=None, annotation=str))
        if self.first == _AROUND:
            inner = inspect.Parameter("method", _KEYWORD, default="Saliency", annotation=str)
            spread = inspect.Parameter("stdevs", _KEYWORD, default=1.0, annotation=float)
            options += [inner, spread]
        return options

    def inner(self, name: str | None) -> Method | None:
        """The method that this one is around; None where it is around none.

        Raises:
            UnknownExplainerError: it cannot be around that one.
        """
        if self.first != _AROUND:
            return None
        found = captum_method(name or "Saliency")
        if found.first == _AROUND or found.takes_layer:
            raise UnknownExplainerError(
                f"'captum:{self.name}' cannot be around '{found.name}': expected a method of "
                "captum.attr without a layer, such as method=Saliency or method=InputXGradient"
            )
        return found

    def build(self, scores: nn.Module, layer: nn.Module | None, inner: Method | None) -> Any:
        """An instance of the class.

        Args:
            scores: a module that gives the score of each row.
            layer: for a method that takes one.
            inner: the method that this one is around.
        """
        if inner is not None:
            return self.cls(inner.build(scores, None, None))
        return self.cls(scores) if layer is None else self.cls(scores, layer)


def captum_method(name: str) -> Method:
    """The class of that name.

    Raises:
        ExplainerImportError: where captum is not installed.
        UnknownExplainerError: where it has no such method, or it needs more than a model, a layer
            or another method.
    """
    try:
        from captum import attr
    except ImportError as error:
        raise ExplainerImportError(
            f"explainer 'captum:{name}': expected captum to be installed, got {error}; "
            "`pip install captum`"
        ) from error
    found = getattr(attr, name, None)
    if not inspect.isclass(found) or not hasattr(found, "attribute"):
        raise UnknownExplainerError(unknown_method("captum", name, attr.__all__, "captum.attr"))
    parameters = inspect.signature(found).parameters
    first = next(iter(parameters), "")
    neuron = "neuron_selector" in inspect.signature(found.attribute).parameters
    if first not in {*TAKES_MODEL, _AROUND} or neuron:
        what = "explains a neuron" if neuron else f"takes '{first}'"
        raise UnknownExplainerError(
            f"'captum:{name}' cannot be adapted: expected a method that takes a forward function, "
            f"a model or another method, got one that {what}; write an explainer file that calls it"
        )
    return Method(name, found, first, "layer" in parameters)
