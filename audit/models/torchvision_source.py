"""Classifiers of torchvision: by name, with the name of its weights, a file, or random ones."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torchvision
from torch import nn

from audit.models.checkpoint_order import load_file
from audit.models.class_head import ClassHead
from audit.models.class_names import class_names
from audit.models.composed_interface import ComposedInterface
from audit.models.errors import ModelError
from audit.models.network import network, url_at_hand
from audit.models.picture_transform import PictureTransform
from audit.models.stated_weights import expect_at_hand, expect_stated, told_in_one_line
from audit.models.wanted import RANDOM, Wanted, looks_like_file, random_weights_note
from audit.nearest_name import hint

PREFIX = "torchvision:"
PACKAGE = "torchvision"
_FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


@functools.cache
def known_models() -> dict[str, list[str]]:
    """Every classifier of torchvision with the names of its weights."""
    names = torchvision.models.list_models(module=torchvision.models)
    return {n: [w.name for w in torchvision.models.get_model_weights(n)] for n in names}


def load_torchvision(
    source: str, pretrained: str | None, wanted: Wanted
) -> tuple[nn.Module, ComposedInterface, tuple[str, ...]]:
    """A classifier of torchvision on the CPU, how it is called, and what is to be told of it.

    Args:
        source: ``torchvision:NAME``.
        pretrained: a name of its weights, such as ``IMAGENET1K_V1``, a file, or ``random``.
        wanted: seed of random weights, and whether weights may be downloaded.

    Raises:
        ModelError: unknown name or weights, weights that are not at hand or do not fit.
    """
    name, known = source.removeprefix(PREFIX), known_models()
    if name not in known:
        raise ModelError(
            f"unknown model '{source}'{hint(name, known)}; 'audit list models torchvision' shows "
            f"all {len(known)}"
        )
    expect_stated(source, pretrained, [*known[name], "DEFAULT"])
    every = torchvision.models.get_model_weights(name)
    named = pretrained if pretrained in every.__members__ else None
    weights = every[named or "DEFAULT"]
    if named:
        at_hand = url_at_hand(weights.url)
        expect_at_hand(source, named, at_hand=at_hand, allow_download=wanted.allow_download)
    with network(allowed=wanted.allow_download), told_in_one_line(source, pretrained):
        module = _create(name, weights if named else None, wanted.seed)
    notes: tuple[str, ...] = (random_weights_note(wanted.seed),) if pretrained == RANDOM else ()
    if pretrained and not named and looks_like_file(pretrained):
        notes = load_file(module, pretrained)
    transform = weights.transforms()
    classes = class_names(len(weights.meta["categories"]), weights.meta["categories"], source)
    pictures = PictureTransform.of(transform, repr(transform))
    return module, ComposedInterface(pictures, ClassHead(classes)), (*notes, *classes.notes)


def _create(name: str, weights: Any, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), _plain_tensors():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        module: nn.Module = torchvision.models.get_model(name, weights=weights)
    return module


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """Torch reads plain tensors only, whatever torchvision asks of it."""
    before = os.environ.get(_FORCED)
    os.environ[_FORCED] = "1"
    try:
        yield
    finally:
        del os.environ[_FORCED]
        if before is not None:
            os.environ[_FORCED] = before
