"""Targets of a user's own model with two towers: its functions, taken as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.models.errors import ModelError

Encode = Callable[[list[str]], Tensor]
Features = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class OwnTargets:
    """Texts as targets; the score is the product of the features that two functions give.

    Attributes:
        tokenize: from texts to token ids, (texts, context).
        of_pictures: ``(module, images) -> (pictures, feature)``.
        of_targets: ``(module, tokens) -> (texts, feature)``.
        score_name: what the product is called.
        settings: what else decides how inputs enter the model, as plain values.
        uses_templates: class names stand in prompts.
    """

    tokenize: Encode
    of_pictures: Features
    of_targets: Features
    score_name: str = "score"
    settings: Mapping[str, object] = field(default_factory=dict)
    uses_templates: bool = True

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts ..."]:
        """Texts as token ids."""
        found = self.tokenize(list(texts))
        if found.is_floating_point() or len(found) != len(texts):
            raise ModelError(
                f"encode: expected whole numbers (texts, context) for {len(texts)} texts, got "
                f"{tuple(found.shape)} of {found.dtype}"
            )
        return found

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b feature"]:
        """The user's features of pictures."""
        return self.of_pictures(module, images)

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, "b ..."]
    ) -> Float[Tensor, "b feature"]:
        """The user's features of texts."""
        return self.of_targets(module, targets)

    def logit_scale(self, module: nn.Module) -> float:  # noqa: ARG002 - the same of every module
        """The score is taken as it is."""
        return 1.0

    def logit_bias(self, module: nn.Module) -> float:  # noqa: ARG002 - likewise
        """The score is taken as it is."""
        return 0.0

    def configuration(self) -> dict[str, object]:
        """Tokens of a text, and what else decides the input."""
        return {"tokens": self.encode(["a", "a photo of a dog."]).tolist(), **self.settings}
