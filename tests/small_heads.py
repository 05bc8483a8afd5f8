"""A small random network with norms, dropout and a class head, as the trace sees it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from audit.models.class_head import ClassHead
from audit.models.class_names import ClassNames
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure
from audit.models.tower_chain import chain_tower
from audit.trace.rounding import Rounding
from audit.trace.tracing import TracedPair
from tests.any_model import AnyStage

CLASSES, TARGET = 6, 2
PairScore = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Block(nn.Module):
    """Two convolutions with norms, and what goes past them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Add what both make of the input to it."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        return self.relu(y)


class SmallNet(nn.Module):
    """A residual network of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8)
        self.first, self.second = Block(8), Block(8)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of pictures (b, 3, 32, 32)."""
        x = self.second(self.first(self.bn(self.conv(images)).relu()))
        return self.head(self.drop(x.mean((2, 3))))


@cache
def small_net() -> SmallNet:
    """The network, with statistics that a norm may have after training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = SmallNet().eval()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.running_mean, 0, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    return model


@cache
def small_head(pair_score: PairScore | None = None) -> AnyStage:
    """A stage of it, with its logits as score or a score of its own."""
    model = copy.deepcopy(small_net())
    pristine = pristine_copy(model)
    names = ClassNames.of([f"class {number}" for number in range(CLASSES)])
    head = ClassHead(names, pair_score)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    tower = chain_tower("image", pristine, head.features, image)
    with torch.no_grad():
        own = float(head.features(pristine, image)[0, TARGET])
    pair = TracedPair("pair-0", image, torch.tensor([TARGET]), {"score": own})
    structure, rounding = Structure(pristine, tower, None), Rounding({"image": image})
    return AnyStage(model, structure, (pair,), 1e-5, "first", "second", rounding)
