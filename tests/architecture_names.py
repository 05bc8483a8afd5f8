"""Architectures that ``python -m tests.architectures`` loads, and how large ones are cut."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import open_clip
import timm

from tests import small_transformers

MORE_THAN_A_BILLION = frozenset((
    "EVA01-g-14", "EVA01-g-14-plus", "EVA02-E-14", "EVA02-E-14-plus", "PE-Core-bigG-14-448",
    "ViT-H-14-worldwide", "ViT-H-14-worldwide-378", "ViT-H-14-worldwide-quickgelu",
    "ViT-SO400M-14-SigLIP2", "ViT-SO400M-14-SigLIP2-378", "ViT-SO400M-16-SigLIP-i18n-256",
    "ViT-SO400M-16-SigLIP2-256", "ViT-SO400M-16-SigLIP2-384", "ViT-SO400M-16-SigLIP2-512",
    "ViT-bigG-14", "ViT-bigG-14-CLIPA", "ViT-bigG-14-CLIPA-336", "ViT-bigG-14-quickgelu",
    "ViT-bigG-14-worldwide", "ViT-bigG-14-worldwide-378", "ViT-e-14", "ViT-g-14",
    "ViT-gopt-16-SigLIP2-256", "ViT-gopt-16-SigLIP2-384", "convnext_xxlarge",
    "convnext_xxlarge_320", "mt5-xl-ViT-H-14", "nllb-clip-large", "nllb-clip-large-siglip",
    "xlm-roberta-large-ViT-H-14",
))  # fmt: skip
"""Those of open_clip with more parameters, the text tower that they name counted."""
LONG_PASSES = frozenset((
    "ViT-H-14-378", "ViT-H-14-378-quickgelu", "ViT-H-14-CLIPA-336",
))  # fmt: skip
"""Those whose pass forward and back takes 20 s of one core: 400 billion multiplications or more."""
CUT = MORE_THAN_A_BILLION | LONG_PASSES
"""Those that keep their widths, heads and pooling, and have two blocks a tower or one a stage, of
larger vocabularies the first tokens, and pictures of at most `MOST_PIXELS` a side."""
VOCABULARY = 49_408
MOST_PIXELS = 256
FEWER_PIXELS = 224
"""A side of larger pictures: a multiple of every patch."""
KINDS = {  # of text towers of a hub, by a part of their names
    "nllb": {"model_type": "m2m_100", "d_model": 64, "encoder_layers": 2, "decoder_layers": 2,
             "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
             "decoder_ffn_dim": 64, "vocab_size": 1000},
    "mt5": {"model_type": "mt5", "d_model": 64, "num_layers": 2, "num_heads": 4, "d_kv": 16,
            "d_ff": 64, "vocab_size": 1000},
    "xlm-roberta": {"model_type": "xlm-roberta", "hidden_size": 64, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 1000},
    "roberta": {"model_type": "roberta", "hidden_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 1000},
}  # fmt: skip
TIMM = (
    "vit_tiny_patch16_224", "vit_small_patch32_224", "deit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "deit3_base_patch16_224",
    "vit_relpos_small_patch16_224", "vit_base_patch16_clip_224", "vit_tiny_r_s16_p8_224",
    "eva02_tiny_patch14_336",
    "beit_base_patch16_224", "beitv2_base_patch16_224", "cait_xxs24_224", "xcit_nano_12_p16_224",
    "mixer_s16_224", "resnet18", "resnet50", "resnetv2_50", "resnext50_32x4d", "seresnet50",
    "densenet121", "mobilenetv3_small_100", "efficientnet_b0", "tf_efficientnet_lite0",
    "regnety_002", "convnext_atto", "convnextv2_atto", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256", "maxvit_nano_rw_256", "coatnet_0_rw_224", "levit_128s",
    "pvt_v2_b0", "mobilevit_xxs", "fastvit_t8", "efficientformer_l1", "poolformer_s12",
    "vitamin_small_224", "hiera_tiny_224", "inception_v3",
)  # fmt: skip
TORCHVISION = (
    "alexnet", "vgg11", "resnet18", "densenet121", "mobilenet_v3_small", "efficientnet_b0",
    "shufflenet_v2_x0_5", "convnext_tiny", "swin_t", "vit_b_32", "maxvit_t", "googlenet",
)  # fmt: skip


def every_name() -> list[str]:
    """All of open_clip, and the choice of the others."""
    others = [f"timm:{n}" for n in TIMM] + [f"torchvision:{n}" for n in TORCHVISION]
    return [*open_clip_names(), *others, *(f"hf:{n}" for n in small_transformers.MADE)]


def open_clip_names() -> list[str]:
    """All architectures of open_clip."""
    return sorted(open_clip.list_models())


@contextlib.contextmanager
def two_blocks() -> Iterator[None]:
    """Towers of open_clip and timm have two blocks or one a stage, and no larger pictures."""
    config_of, create = open_clip.get_model_config, timm.create_model

    def shallow(name: str) -> dict[str, Any]:
        config: dict[str, Any] = config_of(name)
        for part in ("vision_cfg", "text_cfg", "multimodal_cfg"):
            layers = config.get(part, {}).get("layers")
            if layers is not None:
                config[part]["layers"] = 2 if isinstance(layers, int) else [1] * len(layers)
        vision, text = config["vision_cfg"], config["text_cfg"]
        if vision["image_size"] > MOST_PIXELS:
            vision["image_size"] = FEWER_PIXELS
        if "vocab_size" in text:
            text["vocab_size"] = min(text["vocab_size"], VOCABULARY)
        return config

    def created(name: str, **options: Any) -> Any:
        return create(name, **{**options, **_depth(name), **_side(name)})

    factory = open_clip.factory
    with (
        mock.patch.object(factory, "get_model_config", shallow),
        mock.patch.object(open_clip, "get_model_config", shallow),
        mock.patch.object(timm, "create_model", created),
    ):
        yield


def _depth(name: str) -> dict[str, Any]:
    """What timm takes for the least depth."""
    if "convnext" in name:
        return {"depths": (1, 1, 1, 1)}
    if "swin" in name:
        return {"depths": (2, 2, 2, 2)}  # every other block shifts its windows
    if "fastvit" in name:
        return {"layers": (1,) * (5 if name.endswith(("mci3", "mci4")) else 4)}
    return {"depth": 2}


def _side(name: str) -> dict[str, Any]:
    """What timm takes for smaller pictures, where a name ends with the side of large ones."""
    side = re.search(r"_(\d{3})$", name.partition(".")[0])
    large = side is not None and int(side[1]) > MOST_PIXELS
    return {"img_size": FEWER_PIXELS} if large and "convnext" not in name else {}


def write_configurations(cache: Path) -> None:
    """Small configurations of text towers where the cache of the hub has those of the real ones."""
    for name in open_clip_names():
        tower = open_clip.get_model_config(name)["text_cfg"].get("hf_model_name")
        if not tower:
            continue
        kind = next(config for part, config in KINDS.items() if part in tower)
        folder = cache / f"models--{tower.replace('/', '--')}"
        (folder / "snapshots" / "made").mkdir(parents=True, exist_ok=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text("made")
        (folder / "snapshots" / "made" / "config.json").write_text(json.dumps(kind))


def placed(name: str, made: Path) -> str:
    """The name, of a model of transformers that of the folder where it is made."""
    kind = name.removeprefix("hf:")
    if kind == name:
        return name
    if not (made / kind).is_dir():
        small_transformers.write(kind, made / kind)
    return f"hf:{made / kind}"
