"""Small random models for every row of the table of blocks, and convolutional ones, on a pair each.

What a model gives is a number for each of a few classes, whatever its library takes it for: its
logits, its pooled feature, or the mean of its tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import open_clip
import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn

from audit.models.block_table import TABLE, row_of
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure
from audit.models.tower_chain import ChainTower, chain_tower
from audit.models.transformer_block import Block
from audit.trace.rounding import Rounding
from audit.trace.tracing import TracedPair
from tests.block_models import PICTURE, Turned, clip, custom, drawn, hugging, timm_model
from tests.block_models import vision_transformer as torchvision_vit

SIDE = 32
TARGET = 3


class Unmasked(nn.Module):
    """A block that expects a mask, without one."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x, None)


def siglip_2() -> nn.Module:
    """Blocks of transformers' SigLIP 2, whose own pictures come in pieces, on whole pictures."""
    from transformers.models.siglip2.modeling_siglip2 import Siglip2EncoderLayer

    config = transformers.Siglip2VisionConfig(**{**PICTURE, "num_patches": 16})
    config._attn_implementation = "sdpa"  # noqa: SLF001 - a configuration's own way
    blocks = (Unmasked(Siglip2EncoderLayer(config)) for _ in range(2))
    return nn.Sequential(nn.Conv2d(3, 32, 8, 8), nn.Flatten(2), Turned(), *blocks)


def residual_net() -> nn.Module:
    return torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1] * 4, num_classes=5)


def clip_residual_net() -> nn.Module:
    return open_clip.modified_resnet.ModifiedResNet([1] * 4, 16, 4, image_size=SIDE, width=8)


def convnext() -> nn.Module:
    return timm.create_model(
        "convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 32, 64), num_classes=5
    )


def of_transformers(name: str, attention: str = "sdpa", **options: Any) -> Callable[[], nn.Module]:
    return lambda: hugging(name, attention, **PICTURE, **options)


BUILD: dict[str, Callable[[], nn.Module]] = {
    "open_clip ViT": lambda: clip().visual,
    "open_clip custom blocks": lambda: custom(qk_norm=True, scale_attn_inner=True),
    "torchvision ViT": torchvision_vit,
    "timm SigLIP": lambda: timm_model("vit_base_patch16_siglip_224"),
    "timm EVA 02": lambda: timm_model("eva02_tiny_patch14_224"),
    "transformers CLIP": of_transformers("CLIPVisionModel"),
    "transformers MetaCLIP 2": of_transformers("MetaClip2VisionModel", "eager"),
    "transformers SigLIP": of_transformers("SiglipVisionModel"),
    "transformers SigLIP 2": siglip_2,
    "transformers BLIP": of_transformers("BlipVisionModel", "eager"),
    "transformers ViT": of_transformers("ViTModel"),
    "transformers DeiT": of_transformers("DeiTModel", "eager"),
    "transformers DINOv2": of_transformers("Dinov2Model"),
    "transformers DINOv2 with registers": of_transformers("Dinov2WithRegistersModel"),
    "transformers DINOv3": of_transformers("DINOv3ViTModel"),
    "torchvision ResNet": residual_net,
    "open_clip ResNet": clip_residual_net,
    "timm ConvNeXt": convnext,
}
CONVOLUTIONAL = ("torchvision ResNet", "open_clip ResNet", "timm ConvNeXt")


@dataclass(frozen=True)
class Conformance:
    """A model, what a trace knows of it, and a pair.

    Attributes:
        model: in eval mode.
        structure: of an untouched copy.
        pair: a random picture and a class.
        rounding: the null control of all traces of the model.
    """

    model: nn.Module
    structure: Structure
    pair: TracedPair
    rounding: Rounding

    @property
    def tower(self) -> ChainTower:
        """The image tower."""
        assert isinstance(self.structure.image, ChainTower)
        return self.structure.image

    @property
    def rows(self) -> set[str]:
        """Keys of the table that its blocks are known by."""
        return {key for b in self.tower.blocks if isinstance(b, Block) for key in keys_of(b.module)}


def keys_of(module: nn.Module) -> Iterator[str]:
    """The key of the table that the class of a block has."""
    name = f"{type(module).__module__}.{type(module).__qualname__}"
    if name in TABLE:
        yield name


def numbers(model: nn.Module, images: Tensor) -> Tensor:
    """What a model gives, (pictures, classes)."""
    out = model(images)
    if not isinstance(out, Tensor):
        pooled = getattr(out, "pooler_output", None)
        out = out.last_hidden_state if pooled is None else pooled
    return out.mean(1) if out.ndim == 3 else out


@cache
def conformance(name: str, dtype: torch.dtype = torch.float32) -> Conformance:
    """A model by name, with a pair."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = drawn(BUILD[name]())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5, torch.Generator().manual_seed(1))
    model = model.to(dtype)
    image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)).to(dtype)
    pristine, target = pristine_copy(model), torch.tensor([TARGET])
    tower = chain_tower("image", pristine, numbers, image)
    with torch.no_grad():
        own = float(numbers(pristine, image)[0, TARGET])
    pair = TracedPair("pair-0", image, target, {"score": own})
    return Conformance(model, Structure(pristine, tower, None), pair, Rounding({"image": image}))


def slope(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The gradient of a number by the pixels, as a map."""
    pixels = images.clone().requires_grad_()
    value = numbers(model, pixels)[torch.arange(len(images)), targets].sum()
    return torch.autograd.grad(value, pixels)[0].abs().amax(1)


def other_heads(model: nn.Module) -> nn.Module | None:
    """A copy whose last block has twice as many heads; None where no heads are known."""
    block = _last_block(other := copy.deepcopy(model))
    if block is None:
        return None
    row = row_of(block)
    assert row is not None
    owner, _, name = row.heads.rpartition(".")
    attention = block.get_submodule(owner)
    setattr(attention, name, 2 * getattr(attention, name))
    for width in ("head_dim", "attention_head_size"):
        if hasattr(attention, width):
            setattr(attention, width, getattr(attention, width) // 2)
    return other


def another_activation(model: nn.Module) -> nn.Module | None:
    """A copy with another last activation, ReLU or in its place GELU; None where it has none."""
    other = copy.deepcopy(model)
    block = _last_block(other)
    within = other if block is None else block
    every = [path for path, m in within.named_modules() if _is_activation(m)]
    if not every:
        return None
    owner, _, name = every[-1].rpartition(".")
    old = within.get_submodule(every[-1])
    new = nn.GELU() if isinstance(old, nn.ReLU) else nn.ReLU()
    setattr(within.get_submodule(owner), name, new)
    return other


def other_statistics(model: nn.Module) -> nn.Module | None:
    """A copy one of whose running variances is a tenth larger; None where there are none."""
    other = copy.deepcopy(model)
    norms = [m for m in other.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return None
    norms[len(norms) // 2].running_var.mul_(1.1)
    return other


FIXED_WIDTHS = ("open_clip custom blocks", "timm EVA 02", "transformers DINOv3")
"""Models whose heads are as wide as their norms or rotary positions are."""


def faulty_copy(name: str) -> Callable[[nn.Module], nn.Module | None]:
    """The fault that is planted into a model."""
    if name in CONVOLUTIONAL:
        return another_activation if name == "timm ConvNeXt" else other_statistics
    return another_activation if name in FIXED_WIDTHS else other_heads


def _is_activation(module: nn.Module) -> bool:
    name = type(module).__name__
    return any(word in name for word in ("GELU", "ReLU", "SiLU", "Activation", "swish"))


def _last_block(model: nn.Module) -> nn.Module | None:
    return next((m for m in reversed(list(model.modules())) if any(keys_of(m))), None)
