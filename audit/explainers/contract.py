"""The explainer contract: any callable that maps (model, images, targets) to saliency maps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.call_observer import alone, calling
from audit.explainers.errors import ExplainerFaultError, ExplainerReturnError
from audit.explainers.process_state import kept_settings
from audit.explainers.returned_values import OddValueError, real_tensor
from audit.models.model_under_audit import ModelInterface
from audit.models.module_state import kept_make_up


@dataclass(frozen=True)
class Explanation:
    """What an explainer may return in the place of bare maps.

    Attributes:
        maps: relevance of each place of each picture, (pairs, h, w), higher is more relevant.
        scores: the score that each map explains, (pairs,).
        token_maps: relevance of each text token, (pairs, context).
    """

    maps: Float[Tensor, "pairs h w"]
    scores: Float[Tensor, " pairs"] | None = None
    token_maps: Float[Tensor, "pairs context"] | None = None


@runtime_checkable
class Explain(Protocol):
    """The callable itself.

    Pair i is ``(images[i], targets[i])``; images are preprocessed floats (pairs, 3, H, W);
    targets are integers, the token ids of texts (pairs, context) or class ids (pairs,). All three
    are given by position, so that a function may call them as it likes. The model is in eval mode
    and must be left as it was. What else an explainer asks for (`ASKED_FOR`) comes by keyword.
    """

    def __call__(
        self,
        model: nn.Module,
        images: Float[Tensor, "pairs 3 H W"],
        targets: Int[Tensor, "pairs ..."],
        /,
    ) -> Any:
        """Maps of the pairs."""


@dataclass(frozen=True)
class AtHand:
    """What an explainer may ask for, of the model and the data that it is to explain.

    Attributes:
        interface: how the model is called.
        classes: the targets of all classes of the data, on the model's device, None without data.
        lacks: needs that the model does not meet (see `Explainer.needs`), each with the reason.
    """

    interface: ModelInterface
    classes: Int[Tensor, "classes ..."] | None
    lacks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Explainer:
    """An explainer as the audit runs it: a callable with its options bound, and what it declares.

    Attributes:
        name: how it was asked for, without options.
        explain: the callable with the options bound.
        options: the options that were given, as text.
        summary: one sentence of what it does.
        faithful_twin: name of the same method without its modification of the model, if declared.
        text_specific: False where the method cannot depend on the text by design.
        explains_text: True where it explains the tokens of the text and leaves the picture's map
            even.
        stochastic: True where two runs differ by design.
        model_free: True for controls that never look at the model.
        needs: ``heads`` where it reads attention heads, so that they must be known; else empty.
        needs_also: what else must be known of the model, names out of
            `audit.explainers.model_needs.NEEDS`.
        asks: what it asks for by keyword, names out of `audit.explainers.options.ASKED_FOR`.
        at_hand: what it was given of that, None before it has met a model.
        saved: True where the maps were drawn elsewhere, so that nothing can be run anew.
        source_file: file of the callable, if it has one.
        source_line: its first line there.
    """

    name: str
    explain: Explain
    options: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    faithful_twin: str | None = None
    text_specific: bool = True
    explains_text: bool = False
    stochastic: bool = False
    model_free: bool = False
    saved: bool = False
    needs: str = ""
    needs_also: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    at_hand: AtHand | None = field(default=None, compare=False)
    source_file: str | None = None
    source_line: int | None = None


def run_explainer(
    explainer: Explainer, model: nn.Module, images: Tensor, targets: Tensor
) -> Explanation:
    """Call an explainer and check what it returns.

    Args:
        explainer: the explainer.
        model: the torch module, in eval mode.
        images: (pairs, 3, H, W), preprocessed.
        targets: (pairs, context) token ids, or (pairs,) class ids.

    Returns:
        The explanation with detached finite float32 (or float64) maps on the images' device.

    Raises:
        ExplainerReturnError: where the returned value is not a map of finite numbers per pair.
        ExplainerFaultError: where the explainer exits.
    """
    returned = call_explainer(explainer, model, images, targets)
    with calling(explainer.name, len(images)):  # its maps may be computed when they are asked for
        return checked_explanation(explainer.name, returned, images)


def call_explainer(explainer: Explainer, model: nn.Module, images: Tensor, targets: Tensor) -> Any:
    """What an explainer returns, unchecked.

    It receives inputs of its own: what it writes into them reaches nobody else. Settings of torch,
    the current folder, and the model's make-up (all but the values of its tensors) are as before
    when it has returned.

    Raises:
        ExplainerFaultError: where it exits or raises what ends a program.
    """
    home = _folder()
    try:
        with kept_settings(), kept_make_up(model), calling(explainer.name, len(images)):
            return explainer.explain(model, images.detach().clone(), targets.clone())
    except Exception:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not alone():
            raise  # the user's; in a process of its own no key reaches the explainer
        raise ExplainerFaultError(
            f"explainer '{explainer.name}': expected maps, but it ends the program with "
            f"{error!r}; return the maps, or raise an error"
        ) from error
    finally:
        if home and _folder() != home:
            os.chdir(home)


def _folder() -> str:
    """The current folder; empty where it has been deleted."""
    try:
        return os.getcwd()  # noqa: PTH109 - also where the folder is gone
    except FileNotFoundError:
        return ""


def checked_explanation(name: str, value: Any, images: Tensor) -> Explanation:
    """What an explainer returned, as an explanation of as many pairs as there are images.

    Raises:
        ExplainerReturnError: where the value is not a map of finite numbers per pair.
    """
    count = len(images)
    given = value if isinstance(value, (Tensor, np.ndarray)) else getattr(value, "maps", value)
    try:
        maps = real_tensor(given)
    except OddValueError as error:
        raise ExplainerReturnError(
            f"explainer '{name}': expected a tensor (pairs, h, w) of real numbers, a numpy array "
            f"or an object with .maps, got {error}; return one map per pair"
        ) from error
    if maps.ndim != 3 or maps.shape[0] != count or 0 in maps.shape:
        raise ExplainerReturnError(
            f"explainer '{name}': expected maps of shape ({count}, h, w), got "
            f"{tuple(maps.shape)}; return one map per pair{_without_channels(maps)}"
        )
    maps = maps.to(images.device)
    maps = maps if maps.dtype == torch.float64 else maps.float()
    finite = torch.isfinite(maps)
    if not bool(finite.all()):
        bad = int((~finite.flatten(1).all(1)).nonzero()[0])
        raise ExplainerReturnError(
            f"explainer '{name}': expected finite maps, got {int((~finite).sum())} NaN or infinite "
            f"values, first in pair {bad} of the batch; a division by an all-zero map is a common "
            "cause"
        )
    return Explanation(
        maps,
        _beside(name, value, "scores", (count,)),
        _beside(name, value, "token_maps", (count, None)),
    )


def _beside(name: str, value: Any, attribute: str, shape: tuple[int | None, ...]) -> Tensor | None:
    """What an explanation holds beside its maps, None where it holds nothing."""
    given = None if isinstance(value, (Tensor, np.ndarray)) else getattr(value, attribute, None)
    if given is None:
        return None
    try:
        found = real_tensor(given)
    except OddValueError as error:
        raise ExplainerReturnError(
            f"explainer '{name}': expected .{attribute} as a tensor of real numbers, got {error}"
        ) from error
    fits = found.ndim == len(shape) and all(
        want in {None, size} for want, size in zip(shape, found.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("context" if want is None else str(want) for want in shape)
        raise ExplainerReturnError(
            f"explainer '{name}': expected .{attribute} of shape ({wanted}), got "
            f"{tuple(found.shape)}"
        )
    return found


def _without_channels(maps: Tensor) -> str:
    """What to do about an axis of channels, where there is one."""
    if maps.ndim != 4:
        return ""
    return f", without channels: {'maps[:, 0]' if maps.shape[1] == 1 else 'maps.sum(1), say'}"
