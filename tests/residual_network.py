"""A ResNet-18 of random weights with a class head: a model of torchvision, its inside not known."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from audit.data.pairs import Pairs
from audit.models.model_under_audit import ModelUnderAudit
from tests.class_head import CLASSES, ClassHeadInterface

SIDE = 64
GRID = (8, 8)


@dataclass(frozen=True)
class ResNetInterface(ClassHeadInterface):
    """Feature [pooled, 1] and target feature [W_c, b_c], whose product is the logit."""

    score_name: str = "logit"

    def features(self, module: nn.Module, images: Tensor) -> Tensor:
        pooled = nn.Sequential(*list(module.children())[:-1])(images).flatten(1)
        return torch.cat([pooled, pooled.new_ones(len(pooled), 1)], dim=1)

    def target_features(self, module: nn.Module, targets: Tensor) -> Tensor:
        return torch.cat([module.fc.weight[targets], module.fc.bias[targets, None]], dim=1)

    def image_size(self, module: nn.Module) -> int:
        return SIDE

    def patch_grid(self, module: nn.Module) -> tuple[int, int]:
        return GRID


def residual_network() -> ModelUnderAudit:
    """The same random weights every time, with batch norms as far from trivial as trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        module = resnet18(num_classes=len(CLASSES)).eval()
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(0, 0.3)
                norm.running_var.uniform_(0.5, 2)
                norm.weight.data.uniform_(0.5, 1.5)
                norm.bias.data.normal_(0, 0.3)
    place = torch.device("cpu")
    return ModelUnderAudit("resnet18", "random", module, ResNetInterface(), place, torch.float32)


def pictures_of_classes(model: ModelUnderAudit, count: int = 8) -> Pairs:
    """Pictures with one class each, a bright square at another place in each, and its mask."""
    generator = torch.Generator().manual_seed(6)
    labels = torch.arange(count) % len(CLASSES)
    images = 0.3 * torch.randn(count, 3, SIDE, SIDE, generator=generator)
    masks = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    for i, (row, column) in enumerate(torch.randint(0, 6, (count, 2), generator=generator) * 8):
        masks[i, row : row + 16, column : column + 16] = True
    images = images + 2 * masks[:, None] * torch.randn(count, 3, 1, 1, generator=generator)
    return Pairs(
        name="classes",
        ids=tuple(f"pair-{i}" for i in range(count)),
        images=images,
        picture=torch.arange(count),
        labels=labels,
        present=nn.functional.one_hot(labels, len(CLASSES)).bool(),
        masks=masks,
        classes=CLASSES,
        templates=("{}",),
        targets=model.encode(CLASSES),
    )
