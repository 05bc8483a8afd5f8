"""Small random models of several libraries, each with a pair, as the trace sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTForImageClassification

from audit.models.pristine import pristine_copy
from audit.models.structure import Structure
from audit.models.tower_chain import chain_tower
from audit.models.transformer_block import TowerName
from audit.trace.rounding import Rounding
from audit.trace.tracing import TracedPair

CLASSES, SIDE, CONTEXT = 10, 64, 16


@dataclass(frozen=True)
class AnyStage:
    """A model of any library.

    Attributes:
        model: the module that explainers receive.
        structure: of an untouched copy.
        pairs: to explain.
        tolerance: of scores.
        middle: dotted name of a module halfway.
        last: of the last one that keeps places apart.
        rounding: the null control of all its traces, None where each has its own.
    """

    model: nn.Module
    structure: Structure
    pairs: tuple[TracedPair, ...]
    tolerance: float
    middle: str
    last: str
    rounding: Rounding | None = None


def logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Logits of a class head, (pictures, classes)."""
    out = model(images)
    return out if isinstance(out, Tensor) else out.logits


def image_features(model: nn.Module, images: Tensor) -> Tensor:
    """Features of pictures by a model of two towers, at unit length."""
    return functional.normalize(_tensor(model.get_image_features(pixel_values=images)), dim=-1)


def text_features(model: nn.Module, tokens: Tensor) -> Tensor:
    """Features of texts by a model of two towers, at unit length."""
    return functional.normalize(_tensor(model.get_text_features(input_ids=tokens)), dim=-1)


def _tensor(out: object) -> Tensor:
    return out if isinstance(out, Tensor) else out.pooler_output  # type: ignore[attr-defined]


def score(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The model's own score of each pair: a logit, or a cosine."""
    if targets.ndim > 1:
        return (image_features(model, images) * text_features(model, targets)).sum(-1)
    return logits_of(model, images)[torch.arange(len(images)), targets]


def _resnet() -> nn.Module:
    model = torchvision.models.resnet18(num_classes=CLASSES)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model


def _torchvision_vit() -> nn.Module:
    model = torchvision.models.VisionTransformer(SIDE, 16, 3, 3, 48, 96, num_classes=CLASSES)
    nn.init.normal_(model.heads.head.weight, 0, 0.1)
    return model


def _transformers_vit() -> nn.Module:
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=3,
            image_size=SIDE, patch_size=16, num_labels=CLASSES,
        )
    )  # fmt: skip


def _transformers_clip() -> nn.Module:
    sizes = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
    }
    ends = {"bos_token_id": 1, "eos_token_id": 99, "pad_token_id": 0}
    text = sizes | ends | {"vocab_size": 100, "max_position_embeddings": CONTEXT}
    vision = sizes | {"image_size": SIDE, "patch_size": 16}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))


BUILD: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "ResNet-18": (_resnet, "layer2", "layer4"),
    "EfficientNet-Lite0": (
        lambda: timm.create_model("tf_efficientnet_lite0", num_classes=CLASSES),
        "blocks.2",
        "conv_head",
    ),
    "timm ViT": (
        lambda: timm.create_model(
            "vit_tiny_patch16_224", num_classes=CLASSES, depth=3, img_size=SIDE
        ),
        "blocks.1",
        "blocks.2",
    ),
    "torchvision ViT": (
        _torchvision_vit,
        "encoder.layers.encoder_layer_1",
        "encoder.layers.encoder_layer_2",
    ),
    "transformers ViT": (_transformers_vit, "vit.layers.1", "vit.layers.2"),
    "transformers CLIP": (
        _transformers_clip,
        "vision_model.encoder.layers.1",
        "vision_model.encoder.layers.2",
    ),
}
"""How each model is built, and the names of a module halfway and of the last with places."""


@cache
def any_stage(name: str) -> AnyStage:
    """A stage by name."""
    build, middle, last = BUILD[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = build().eval()
        image = torch.rand(1, 3, SIDE, SIDE)
    pristine = pristine_copy(model)
    target = torch.tensor([3])
    text = None
    given: dict[TowerName, Tensor] = {"image": image}
    if name == "transformers CLIP":
        target = torch.randint(2, 98, (1, CONTEXT), generator=torch.Generator().manual_seed(1))
        target[:, 11:] = 99
        text = chain_tower("text", pristine, text_features, target)
        given["text"] = target
        image_tower = chain_tower("image", pristine, image_features, image)
    else:
        image_tower = chain_tower("image", pristine, logits_of, image)
    with torch.no_grad():
        own = float(score(pristine, image, target))
    pair = TracedPair("pair-0", image, target, {"score": own})
    structure = Structure(pristine, image_tower, text)
    return AnyStage(model, structure, (pair,), 1e-5, middle, last, Rounding(given))
