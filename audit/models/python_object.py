"""A model under audit out of a torch module and functions around it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from audit.models.class_head import ClassHead, PairScore
from audit.models.class_names import ClassNames
from audit.models.composed_interface import ComposedInterface, Targets
from audit.models.errors import ModelError
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.own_targets import Encode, Features, OwnTargets
from audit.models.picture_transform import PictureTransform
from audit.models.plain_module import plain_module

_PLAIN = (bool, int, float, str, tuple)


def model_of(
    module: nn.Module,
    preprocess: Callable[[Image.Image], Tensor],
    classes: Sequence[str],
    *,
    score: PairScore | None = None,
    score_name: str | None = None,
    preprocess_mask: Callable[[Image.Image], Tensor] | None = None,
    name: str = "",
    settings: Mapping[str, object] | None = None,
) -> ModelUnderAudit:
    """A model under audit, of a module with a class head.

    Args:
        module: gives logits (pictures, classes), as a tensor or an object with ``.logits``, unless
            there is a ``score``; it is put into eval mode.
        preprocess: from a PIL picture in RGB to the module's input (3, H, W), such as a transform
            of torchvision.
        classes: names in the order of the logits.
        score: ``score(module, images, targets) -> (pairs,)`` in the place of the logits. It has to
            compute with the module that it is given, since altered copies are asked the same.
        score_name: what the score is called; ``logit``, or ``score`` where one is given.
        preprocess_mask: moves a mask (PIL, ``L``) as the picture is, to (1, H, W). Found by itself
            unless colors are changed in a way that depends on the picture.
        name: in reports; the class of the module by default.
        settings: what else decides what is computed, as plain values, for the model's identity.

    Raises:
        ModelError: one of these is something else.
    """
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        raise ModelError(
            "expected the names of the classes as a list, got "
            f"{type(classes).__name__}; list them in the order of the logits"
        )
    names = ClassNames.of(classes)
    called = score_name or ("logit" if score is None else "score")
    head = ClassHead(names, score, called, {"score": described(score), **(settings or {})})
    return _made(module, preprocess, head, preprocess_mask, name, names.notes)


def two_towers_of(
    module: nn.Module,
    preprocess: Callable[[Image.Image], Tensor],
    encode: Encode,
    features: Features,
    target_features: Features,
    *,
    score_name: str = "score",
    preprocess_mask: Callable[[Image.Image], Tensor] | None = None,
    name: str = "",
    settings: Mapping[str, object] | None = None,
) -> ModelUnderAudit:
    """A model under audit, of a module that compares pictures with texts.

    Args:
        module: put into eval mode.
        preprocess: as of `model_of`.
        encode: from texts to token ids, (texts, context).
        features: ``(module, images) -> (pictures, feature)``.
        target_features: ``(module, tokens) -> (texts, feature)``; the product of both is the score,
            a cosine where both have length one.
        score_name: what the score is called.
        preprocess_mask: as of `model_of`, like ``name`` and ``settings``.
        name: likewise.
        settings: likewise.

    Raises:
        ModelError: one of these is something else.
    """
    functions = {"features": described(features), "target_features": described(target_features)}
    targets = OwnTargets(
        encode, features, target_features, score_name, {**functions, **(settings or {})}
    )
    return _made(module, preprocess, targets, preprocess_mask, name, ())


def _made(
    module: object,
    preprocess: Callable[[Image.Image], Tensor],
    targets: Targets,
    move_mask: Callable[[Image.Image], Tensor] | None,
    name: str,
    notes: tuple[str, ...],
) -> ModelUnderAudit:
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"expected a torch module as the model, got {type(module).__name__}; give an nn.Module"
        )
    module, told = plain_module(module)
    pictures = PictureTransform.of(preprocess, described(preprocess))
    first = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(1))
    return ModelUnderAudit(
        name=name or type(module).__name__,
        pretrained=None,
        module=module.eval(),
        interface=ComposedInterface(pictures, targets, move_mask),
        device=first.device,
        dtype=first.dtype,
        notes=(*notes, *told),
    )


def described(function: Any) -> str:
    """A function in words that are the same in every process: its source, or what it shows."""
    if function is None:
        return ""
    shown = repr(function)
    if " at 0x" not in shown:
        return shown
    plain = {k: v for k, v in getattr(function, "__dict__", {}).items() if type(v) in _PLAIN}
    try:
        source = inspect.getsource(function if inspect.isroutine(function) else type(function))
        return f"{source}{sorted(plain.items())}"
    except (OSError, TypeError):
        return f"{type(function).__module__}.{type(function).__qualname__}"
