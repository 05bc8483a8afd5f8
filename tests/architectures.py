"""Architectures with random weights: how deeply each one is known, and a score.

``python -m tests.architectures [--part 1/4] [NAME …]`` loads each one as ``--pretrained random``
does, and prints a row of a Markdown table: all of open_clip, and a choice of the other libraries.
Those of more than a billion parameters keep their widths and have two blocks a tower; text towers
of a hub have small configurations, written here, and so have the models of transformers.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import tempfile
import time
from pathlib import Path
from unittest import mock

import open_clip
import torch

from audit.models.anatomy import UnknownAnatomyError
from audit.models.loading import known_models, load_model
from tests import small_transformers

MOST = 1_000_000_000
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
    "deit_tiny_distilled_patch16_224", "deit3_small_patch16_224", "vit_relpos_small_patch16_224",
    "vit_base_patch16_clip_224", "vit_tiny_r_s16_p8_224", "eva02_tiny_patch14_336",
    "beit_base_patch16_224", "cait_xxs24_224", "xcit_nano_12_p16_224", "mixer_s16_224",
    "resnet18", "resnet50", "resnetv2_50", "resnext50_32x4d", "seresnet50", "densenet121",
    "mobilenetv3_small_100", "efficientnet_b0", "tf_efficientnet_lite0", "regnety_002",
    "convnext_atto", "convnextv2_atto", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256", "maxvit_nano_rw_256", "coatnet_0_rw_224", "levit_128s",
    "pvt_v2_b0", "mobilevit_xxs", "fastvit_t8", "efficientformer_l1", "poolformer_s12",
    "vitamin_small_224", "hiera_tiny_224", "inception_v3",
)  # fmt: skip
TORCHVISION = (
    "alexnet", "vgg11", "resnet18", "densenet121", "mobilenet_v3_small", "efficientnet_b0",
    "shufflenet_v2_x0_5", "convnext_tiny", "swin_t", "vit_b_32", "maxvit_t", "googlenet",
)  # fmt: skip
HEADING = ("architecture", "inside", "grid", "score", "seconds", "remarks")


def every_name() -> list[str]:
    """All of open_clip, and the choice of the others."""
    others = [f"timm:{n}" for n in TIMM] + [f"torchvision:{n}" for n in TORCHVISION]
    return [*sorted(known_models()), *others, *(f"hf:{n}" for n in small_transformers.MADE)]


def parameters(name: str) -> int:
    """Without any memory for them; of open_clip's architectures alone."""
    if ":" in name:
        return 0
    config = open_clip.get_model_config(name)
    if config["text_cfg"].get("hf_model_name"):
        return 0
    with torch.device("meta"):
        model = open_clip.create_model(name, device="meta", load_weights=False, pretrained_hf=False)
    return sum(p.numel() for p in model.parameters())


@contextlib.contextmanager
def two_blocks():
    """Towers are built with two blocks, of open_clip's own and of timm."""
    config_of, create = open_clip.get_model_config, open_clip.timm_model.timm.create_model

    def shallow(name):
        config = config_of(name)
        for section in ("vision_cfg", "text_cfg"):
            if isinstance(config[section].get("layers"), int):
                config[section]["layers"] = 2
        return config

    def created(name, **options):
        deep = {"depths": (1, 1, 1, 1)} if "convnext" in name else {"depth": 2}
        return create(name, **{**options, **deep})

    factory = open_clip.factory
    with (
        mock.patch.object(factory, "get_model_config", shallow),
        mock.patch.object(open_clip.timm_model.timm, "create_model", created),
    ):
        yield


def write_configurations(cache: Path) -> None:
    """Small configurations of text towers where the cache of the hub has those of the real ones."""
    for name in known_models():
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
    small_transformers.write(kind, made / kind)
    return f"hf:{made / kind}"


def row(name: str, made: Path) -> tuple[str, ...]:
    """What is known of an architecture, as the cells of a row."""
    started, remarks = time.perf_counter(), []
    large = parameters(name) > MOST
    with two_blocks() if large else contextlib.nullcontext():
        model = load_model(placed(name, made), "random")
    if large:
        remarks.append("two blocks a tower")
    try:
        anatomy = model.require_anatomy()
        inside = f"full: {anatomy.image.heads} heads"
    except UnknownAnatomyError as error:
        inside = "scores"
        remarks.append(str(error).partition(";")[0])
    text = "a photo of a cat." if model.uses_templates else "0"
    targets = model.encode([text])
    images = torch.rand(1, 3, model.image_size, model.image_size)
    with torch.no_grad():
        score = float(model.score(images, targets))
    if model.score_name == "cosine" and not -1.001 <= score <= 1.001:
        remarks.append("its score is no cosine")
    grid, spent = "×".join(map(str, model.patch_grid)), time.perf_counter() - started
    return (
        name,
        inside,
        grid,
        f"{score:.3f}",
        f"{spent:.0f}",
        "; ".join(remarks),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="architectures; all by default")
    parser.add_argument("--part", default="1/1", help="which of how many parts, such as 2/4")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    part, parts = map(int, options.part.split("/"))
    names = options.names or every_name()[part - 1 :: parts]
    failed = []
    with tempfile.TemporaryDirectory() as cache:
        write_configurations(Path(cache))
        with mock.patch("huggingface_hub.constants.HF_HUB_CACHE", cache):
            print(f"| {' | '.join(HEADING)} |\n|{' --- |' * len(HEADING)}")
            for name in names:
                try:
                    print(f"| {' | '.join(row(name, Path(cache)))} |", flush=True)
                except Exception as error:  # noqa: BLE001 - of any library; the others go on
                    failed.append(name)
                    print(
                        f"| {name} | FAILED | | | | {type(error).__name__}: {error} |", flush=True
                    )
                gc.collect()
    raise SystemExit(f"{len(failed)} failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
