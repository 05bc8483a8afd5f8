"""Two towers of transformers: the target is a text, the score is the cosine of both features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.models.tokenizers import Tokenizer


@dataclass(frozen=True)
class TransformersTowers:
    """Texts as targets.

    Attributes:
        tokenizer: from texts to token ids, (texts, context).
        score_name: what the product of the features is.
        uses_templates: class names stand in prompts.
    """

    tokenizer: Tokenizer
    score_name: str = "cosine"
    uses_templates: bool = True

    def encode(self, texts: Sequence[str]) -> Int[Tensor, "texts context"]:
        """Texts as token ids."""
        return self.tokenizer(list(texts))

    def features(
        self, module: nn.Module, images: Float[Tensor, "b 3 H W"]
    ) -> Float[Tensor, "b feature"]:
        """Normalized image features."""
        return _normalized(module.get_image_features(images))  # type: ignore[operator]

    def target_features(
        self, module: nn.Module, targets: Int[Tensor, "b context"]
    ) -> Float[Tensor, "b feature"]:
        """Normalized text features."""
        return _normalized(module.get_text_features(targets))  # type: ignore[operator]

    def logit_scale(self, module: nn.Module) -> float:
        """Factor from cosine to logit."""
        scale: Any = module.logit_scale
        return float(scale.detach().exp())

    def logit_bias(self, module: nn.Module) -> float:
        """What is added to the scaled cosine, 0 but for models trained with a sigmoid loss."""
        bias: Any = getattr(module, "logit_bias", None)
        return 0.0 if bias is None else float(bias.detach())

    def configuration(self) -> dict[str, object]:
        """The tokenizer, as far as it differs between models."""
        return {"tokens": self.tokenizer(["a", "a photo of a dog."]).tolist()}


def _normalized(found: Any) -> Float[Tensor, "b feature"]:
    """Features of unit length; releases give them as a tensor, or as the pooled output of one."""
    features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return functional.normalize(features, dim=-1)
