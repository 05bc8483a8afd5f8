"""A model that is not open_clip's: a small network with a class head, without a known inside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from audit.data.pairs import Pairs
from audit.models.anatomy import Anatomy, UnknownAnatomyError
from audit.models.model_under_audit import ModelUnderAudit

CLASSES = ("cat", "dog", "bird", "fish")
SIDE = 8


class Classifier(nn.Module):
    """Patches of 4 by 4 pixels, pooled, and a class head: (pictures, classes) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 6, 4, 4)
        self.head = nn.Linear(6, len(CLASSES))

    def pooled(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b width"]:
        return self.patches(images).tanh().mean((2, 3))

    def forward(self, images: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b classes"]:
        return self.head(self.pooled(images))


@dataclass(frozen=True)
class ClassHeadInterface:
    """Feature [pooled, 1] and target feature [W_c, b_c], whose product is the logit."""

    score_name: str = "logit"
    uses_templates: bool = False

    def preprocess(self, picture: Image.Image) -> Float[Tensor, "3 H W"]:
        return torch.from_numpy(np.array(picture.resize((SIDE, SIDE)))).permute(2, 0, 1) / 255

    def preprocess_mask(self, mask: Image.Image) -> Float[Tensor, "1 H W"]:
        return torch.from_numpy(np.array(mask.resize((SIDE, SIDE)))).float()[None] / 255

    def restore_colors(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "3 H W"]:
        return image

    def encode(self, texts: Sequence[str]) -> Int[Tensor, " texts"]:
        return torch.tensor([CLASSES.index(text) for text in texts])

    def features(self, module: nn.Module, images: Tensor) -> Float[Tensor, "b feature"]:
        pooled = module.pooled(images)
        return torch.cat([pooled, pooled.new_ones(len(pooled), 1)], dim=1)

    def target_features(self, module: nn.Module, targets: Tensor) -> Float[Tensor, "b feature"]:
        return torch.cat([module.head.weight[targets], module.head.bias[targets, None]], dim=1)

    def logit_scale(self, module: nn.Module) -> float:
        return 1.0

    def logit_bias(self, module: nn.Module) -> float:
        return 0.0

    def image_size(self, module: nn.Module) -> int:
        return SIDE

    def configuration(self) -> dict[str, object]:
        """Nothing but the module decides how it is called."""
        return {}

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:
        return SIDE // 4, SIDE // 4

    def anatomy(self, module: nn.Module) -> Anatomy:
        raise UnknownAnatomyError("expected two towers, got a network with a class head")


def model_with_class_head() -> ModelUnderAudit:
    """The same random weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = Classifier().eval()
    place = torch.device("cpu")
    return ModelUnderAudit("classifier", None, module, ClassHeadInterface(), place, torch.float32)


def class_pairs(model: ModelUnderAudit) -> Pairs:
    """Six pictures with one class each."""
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(6) % len(CLASSES)
    return Pairs(
        name="classes",
        ids=tuple(f"pair-{i}" for i in range(6)),
        images=torch.rand(6, 3, SIDE, SIDE, generator=generator),
        picture=torch.arange(6),
        labels=labels,
        present=nn.functional.one_hot(labels, len(CLASSES)).bool(),
        masks=None,
        classes=CLASSES,
        templates=("{}",),
        targets=model.encode(CLASSES),
    )
