"""Models with a class head: the target is a class id, the score is what the model gives for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.models.class_names import ClassNames
from audit.models.errors import ModelError

PairScore = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""``score(module, images, targets) -> (pairs,)``, of a model whose forward gives no logits."""


@dataclass(frozen=True)
class ClassHead:
    """Class ids as targets.

    The feature of a picture is the row of its scores for every class, that of a target the one-hot
    row of its class; their product is the score, exactly and for any module.

    Attributes:
        classes: their names.
        pair_score: scores of pairs, None for a module whose forward gives logits.
        score_name: what the score is called.
        settings: what else decides how inputs enter the model, as plain values.
    """

    classes: ClassNames
    pair_score: PairScore | None = None
    score_name: str = "logit"
    settings: Mapping[str, object] = field(default_factory=dict)
    uses_templates: bool = False

    def encode(self, texts: Sequence[str]) -> Int[Tensor, " texts"]:
        """Class names as class ids; `UnknownClassError` where some are unknown."""
        return self.classes.ids(texts)

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b classes"]:
        """The score of each picture for every class.

        Raises:
            ModelError: the module gives no such scores.
        """
        if self.pair_score is None:
            return self._expected(logits_of(module(images)), len(images))
        once: Any = _RunsOnce(module, images)
        columns = [
            self.pair_score(once, images, torch.full((len(images),), i, device=images.device))
            for i in range(len(self.classes))
        ]
        return self._expected(torch.stack(columns, dim=-1), len(images))

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, " b"]
    ) -> Float[Tensor, "b classes"]:
        """One-hot rows, in the module's own number format."""
        like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(1))
        return functional.one_hot(targets, len(self.classes)).to(like.dtype)

    def logit_scale(self, module: nn.Module) -> float:  # noqa: ARG002 - the same of every module
        """The score is the logit."""
        return 1.0

    def logit_bias(self, module: nn.Module) -> float:  # noqa: ARG002 - likewise
        """The score is the logit."""
        return 0.0

    def configuration(self) -> dict[str, object]:
        """The names of the classes, and what else decides the input."""
        return {"classes": self.classes.names, **self.settings}

    def _expected(self, scores: Tensor, pictures: int) -> Tensor:
        wanted = (pictures, len(self.classes))
        if tuple(scores.shape) != wanted:
            raise ModelError(
                f"expected scores (pictures, classes) = {wanted} of the model, got "
                f"{tuple(scores.shape)}; name each of its classes once, in the order of its logits"
            )
        return scores


class _RunsOnce:
    """A module that runs once on the given pictures, for however many classes it is asked."""

    def __init__(self, module: nn.Module, images: Tensor) -> None:
        self._module, self._images, self._gave = module, images, None

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        if keywords or len(args) != 1 or args[0] is not self._images:
            return self._module(*args, **keywords)
        if self._gave is None:
            self._gave = self._module(self._images)
        return self._gave.clone() if isinstance(self._gave, Tensor) else self._gave

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def logits_of(output: Any) -> Tensor:
    """The logits in what a module gives: a tensor, or an object with ``logits``.

    Raises:
        ModelError: it gives something else.
    """
    found = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(found, Tensor):
        raise ModelError(
            "expected logits of the model's forward, a tensor (pictures, classes) or an object "
            f"with .logits, got {type(output).__name__}; give score(module, images, targets)"
        )
    return found
