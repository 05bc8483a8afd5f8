"""A torch module that a caller hands in, with as little around it as the audit can do with."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from audit.models.class_head import ClassHead, PairScore, logits_of
from audit.models.class_names import ClassNames
from audit.models.composed_interface import ComposedInterface, Targets
from audit.models.errors import ModelError
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.picture_transform import PictureTransform
from audit.models.plain_module import plain_module
from audit.models.python_object import described

_READY = "ready tensors"
_TOWERS = (("encode_image", "encode_text"), ("get_image_features", "get_text_features"))


@dataclass(frozen=True)
class GivenModel:
    """A model that a caller hands in, and what goes with it.

    Attributes:
        model: a plain module, or a model under audit.
        score: ``score(module, images, targets) -> (pairs,)`` where the module gives no logits.
        preprocess: from a PIL picture in RGB to the module's input; not needed for ready tensors.
        classes: names in the order of the logits.
    """

    model: nn.Module | ModelUnderAudit
    score: PairScore | None = None
    preprocess: Callable[[Image.Image], Tensor] | None = None
    classes: Sequence[str] | None = None

    @property
    def preprocesses(self) -> bool:
        """Whether it takes pictures, not ready tensors alone."""
        return isinstance(self.model, ModelUnderAudit) or self.preprocess is not None

    def named(self) -> dict[str, str]:
        """Name, device and number format, as settings hold them."""
        if isinstance(self.model, ModelUnderAudit):
            model = self.model
            return {
                "model": model.name,
                "device": str(model.device),
                "dtype": model.dtype_name,
            }
        first = next((p for p in self.model.parameters() if p.is_floating_point()), torch.zeros(1))
        return {
            "model": type(plain_module(self.model)[0]).__name__,
            "device": str(first.device),
            "dtype": str(first.dtype).removeprefix("torch."),
        }

    def under_audit(self, picture: object, target: object) -> ModelUnderAudit:
        """The model on a copy of the module in eval mode; the caller's own stays as it is.

        Args:
            picture: the first of the data: a PIL picture, or a ready tensor (3, H, W).
            target: its target: a class id, a label, or a row of token ids.

        Raises:
            ModelError: what is there does not make a model that scores pairs.
        """
        if isinstance(self.model, ModelUnderAudit):
            return self.model.with_module(copy.deepcopy(self.model.module).eval())
        self.expect_fit(picture, target)
        plain, told = plain_module(self.model)
        module = copy.deepcopy(plain).eval()
        first = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(1))
        pictures = self._pictures(picture)
        targets: Targets
        notes: tuple[str, ...] = ()
        if isinstance(target, Tensor) and target.ndim == 1:
            targets = self._token_targets(module)
        else:
            blank = torch.zeros(3, pictures.size, pictures.size)
            image = picture if isinstance(picture, Tensor) else blank
            targets, notes = self._class_targets(module, image.to(first)[None])
        return ModelUnderAudit(
            name=type(module).__name__,
            pretrained=None,
            module=module,
            interface=ComposedInterface(pictures, targets),
            device=first.device,
            dtype=first.dtype,
            notes=(*notes, *told),
        )

    def expect_fit(self, picture: object, target: object) -> None:
        """Refuse what a plain module cannot do with data, before anything is copied or run.

        Args:
            picture: as of `under_audit`.
            target: likewise.

        Raises:
            ModelError: no ``preprocess`` of pictures, tensors of another shape, or a score beside
                classes whose names are not given.
        """
        if isinstance(self.model, ModelUnderAudit):
            return
        self._pictures(picture)
        tokens = isinstance(target, Tensor) and target.ndim == 1
        if self.score is not None and self.classes is None and not tokens:
            raise ModelError(
                "expected the names of all classes beside score=, since a pair is right where its "
                "target scores above every absent one; give classes=[…]"
            )

    def _pictures(self, picture: object) -> PictureTransform:
        if self.preprocess is not None:
            return PictureTransform.of(self.preprocess, described(self.preprocess))
        if not isinstance(picture, Tensor):
            raise ModelError(
                f"expected preprocess=, from a PIL picture to the module's input (3, H, W), or "
                f"data as ready tensors, got a module alone and {type(picture).__name__} pictures"
            )
        if picture.ndim != 3 or len(picture) != 3 or picture.shape[1] != picture.shape[2]:
            raise ModelError(
                f"expected ready pictures (pairs, 3, H, W) with H equal to W, got "
                f"{tuple(picture.shape)} of each; a module of one channel is audited within one "
                "of three, and other sides are cropped or padded to a square"
            )
        return PictureTransform(_unready, int(picture.shape[1]), linear=False, described=_READY)

    def _class_targets(self, module: nn.Module, image: Tensor) -> tuple[ClassHead, tuple[str, ...]]:
        if self.score is not None and self.classes is not None:
            names = ClassNames.of(self.classes)
            settings = {"score": described(self.score)}
            return ClassHead(names, self.score, "score", settings), names.notes
        with torch.no_grad():
            logits = logits_of(module(image))
        if logits.ndim != 2:
            raise ModelError(
                f"expected logits (pictures, classes) of the module, got {tuple(logits.shape)} for "
                "one picture; give score=(module, images, targets) -> (pairs,)"
            )
        count = logits.shape[1]
        if self.classes is None:
            names = ClassNames.numbered(count, "The module was given without names of its classes")
        elif len(self.classes) != count:
            raise ModelError(
                f"expected the names of the module's {count} classes in the order of its logits, "
                f"got {len(self.classes)}"
            )
        else:
            names = ClassNames.of(self.classes)
        return ClassHead(names), names.notes

    def _token_targets(self, module: nn.Module) -> GivenTokens:
        if self.score is not None or self.classes is not None:
            raise ModelError(
                "score= and classes= belong to class ids as targets, but the targets are rows of "
                "token ids; make the model with audit.models.python_object.two_towers_of"
            )
        for names in _TOWERS:
            if all(hasattr(module, name) for name in names):
                return GivenTokens(*names)
        raise ModelError(
            "expected a module with encode_image and encode_text (open_clip), or "
            "get_image_features and get_text_features (transformers), for token ids as targets, "
            f"got {type(module).__name__}; make the model with "
            "audit.models.python_object.two_towers_of"
        )


def given_model(
    model: object,
    score: PairScore | None = None,
    preprocess: Callable[[Image.Image], Tensor] | None = None,
    classes: Sequence[str] | None = None,
) -> GivenModel:
    """What a caller hands in as a model, see `GivenModel`.

    Raises:
        ModelError: it is no module, or stands beside what only a plain module needs.
    """
    if not isinstance(model, (nn.Module, ModelUnderAudit)):
        raise ModelError(
            "expected a model as a name, an nn.Module or a ModelUnderAudit, got "
            f"{type(model).__name__}"
        )
    around = {"score": score, "preprocess": preprocess, "classes": classes}
    told = [name for name, value in around.items() if value is not None]
    if told and isinstance(model, ModelUnderAudit):
        raise ModelError(
            f"{', '.join(told)}: expected beside a plain nn.Module, but a ModelUnderAudit says how "
            "it is called; leave it out"
        )
    return GivenModel(model, score, preprocess, classes)


@dataclass(frozen=True)
class GivenTokens:
    """Rows of token ids as targets; the score is the cosine of both features.

    Attributes:
        of_pictures: the module's method that gives features of pictures.
        of_texts: the one that gives features of token ids.
    """

    of_pictures: str
    of_texts: str
    score_name: str = "cosine"
    uses_templates: bool = False

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts ..."]:
        """Not known: `ModelError`."""
        raise ModelError(
            f"expected targets as rows of token ids, got texts such as '{next(iter(texts), '')}'; "
            "a model that encodes texts is made by audit.models.python_object.two_towers_of"
        )

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b feature"]:
        """Normalized image features."""
        return _unit(getattr(module, self.of_pictures)(images))

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, "b context"]
    ) -> Float[Tensor, "b feature"]:
        """Normalized text features."""
        return _unit(getattr(module, self.of_texts)(targets))

    def logit_scale(self, module: nn.Module) -> float:
        """Factor from cosine to logit, 1 where the module states none."""
        scale: Any = getattr(module, "logit_scale", None)
        return 1.0 if scale is None else float(scale.detach().exp())

    def logit_bias(self, module: nn.Module) -> float:
        """What is added to the scaled cosine, 0 where the module states nothing."""
        bias: Any = getattr(module, "logit_bias", None)
        return 0.0 if bias is None else float(bias.detach())

    def configuration(self) -> Mapping[str, object]:
        """How the module is called; the tokens are the data's."""
        return {"towers": (self.of_pictures, self.of_texts)}


def class_names_of(model: ModelUnderAudit) -> tuple[str, ...] | None:
    """The names of all classes of a class head, None of a model that compares with texts."""
    targets: Targets | None = getattr(model.interface, "targets", None)
    names = getattr(targets, "classes", None)
    return names.names if isinstance(names, ClassNames) else None


def _unit(found: Any) -> Tensor:
    features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return functional.normalize(features, dim=-1)


def _unready(picture: Image.Image) -> Tensor:
    raise ModelError(
        f"expected ready tensors, got a picture of {picture.width}×{picture.height} pixels and no "
        "preprocess; give preprocess=, from a PIL picture to the module's input (3, H, W)"
    )
