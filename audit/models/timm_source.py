"""Models of timm: by name, with a tag of its weights, a file, or random ones."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset
from timm.data.transforms_factory import create_transform
from timm.models import get_arch_pretrained_cfgs, split_model_name_tag
from torch import nn

from audit.models.checkpoint_order import load_file
from audit.models.class_head import ClassHead
from audit.models.class_names import ClassNames, class_names
from audit.models.composed_interface import ComposedInterface
from audit.models.errors import ModelError
from audit.models.network import network, repository_at_hand, url_at_hand
from audit.models.picture_transform import PictureTransform
from audit.models.stated_weights import expect_at_hand, expect_stated, told_in_one_line
from audit.models.wanted import RANDOM, Wanted, looks_like_file, random_weights_note
from audit.nearest_name import hint

PREFIX = "timm:"
PACKAGE = "timm"
_FILES = ("model.safetensors", "pytorch_model.bin")


@functools.cache
def known_models() -> dict[str, list[str]]:
    """Every architecture of timm that has a class head, with the tags of its weights."""
    configs = {name: timm.get_pretrained_cfg(name) for name in timm.list_models()}
    found: dict[str, list[str]] = {n: [] for n, c in configs.items() if not c or c.num_classes}
    for name in timm.list_pretrained():
        architecture, tag = split_model_name_tag(name)
        if tag and architecture in found:
            found[architecture].append(tag)
    return found


def load_timm(
    source: str, pretrained: str | None, wanted: Wanted
) -> tuple[nn.Module, ComposedInterface, tuple[str, ...]]:
    """A classifier of timm on the CPU, how it is called, and what is to be told of its weights.

    Args:
        source: ``timm:NAME``, or ``timm:NAME.TAG``, which states the weights too.
        pretrained: a tag, a checkpoint file, or ``random``.
        wanted: seed of random weights, and whether weights may be downloaded.

    Raises:
        ModelError: unknown name or tag, no class head, weights that are not at hand or do not fit.
    """
    name, tag = split_model_name_tag(source.removeprefix(PREFIX))
    if not timm.is_model(name):
        raise ModelError(
            f"unknown model '{PREFIX}{name}'{hint(name, timm.list_models())}; 'audit list models "
            "timm' shows all"
        )
    tags = known_models().get(name, [])
    pretrained = pretrained or tag or None
    expect_stated(f"{PREFIX}{name}", pretrained, tags)
    of_tag = pretrained if pretrained in tags else tag if tag in tags else ""
    if pretrained in tags:
        expect_at_hand(
            source,
            str(pretrained),
            at_hand=_at_hand(name, str(pretrained)),
            allow_download=wanted.allow_download,
        )
    module, notes = _create(f"{name}.{of_tag}" if of_tag else name, pretrained, wanted)
    return module, *_interface(source, module, notes)


def _create(name: str, pretrained: str | None, wanted: Wanted) -> tuple[nn.Module, tuple[str, ...]]:
    file = pretrained if pretrained and looks_like_file(pretrained) else None
    fetched = pretrained != RANDOM and file is None
    with (
        network(allowed=wanted.allow_download),
        torch.random.fork_rng(devices=[]),
        warnings.catch_warnings(),
        told_in_one_line(f"{PREFIX}{name}", pretrained),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(wanted.seed)
        module: nn.Module = timm.create_model(name, pretrained=fetched)
        if file:
            return module, load_file(module, file)
    return module, () if fetched else (random_weights_note(wanted.seed),)


def _interface(
    source: str, module: Any, notes: tuple[str, ...]
) -> tuple[ComposedInterface, tuple[str, ...]]:
    if not module.num_classes:
        raise ModelError(
            f"'{source}' has no class head: it gives features, not scores of classes; choose one "
            "with a head, or give your own head with FILE.py:function"
        )
    config = resolve_model_data_config(module)
    transform = create_transform(**config, is_training=False)
    classes = _classes(source, module)
    pictures = PictureTransform.of(transform, repr(transform))
    return ComposedInterface(pictures, ClassHead(classes)), (*notes, *classes.notes)


def _classes(source: str, module: Any) -> ClassNames:
    subset = infer_imagenet_subset(module)
    given = module.pretrained_cfg.get("label_names")
    if given is None and subset and subset != "imagenet-1k":
        info = ImageNetInfo(subset)
        given = [info.index_to_description(i) for i in range(info.num_classes())]
    return class_names(int(module.num_classes), given, f"'{source}'")


def _at_hand(name: str, tag: str) -> bool:
    config = get_arch_pretrained_cfgs(name)[f"{name}.{tag}"]
    if config.file:
        return Path(config.file).is_file()
    files = (config.hf_hub_filename,) if config.hf_hub_filename else _FILES
    hub, url = config.hf_hub_id, config.url
    return bool(hub and repository_at_hand(hub, files)) or bool(url and url_at_hand(str(url)))
