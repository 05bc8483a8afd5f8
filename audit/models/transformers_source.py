"""Models of transformers: image classifiers and two towers, from a folder or the hub's cache."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audit.models.checkpoint_order import load_file
from audit.models.class_head import ClassHead
from audit.models.class_names import class_names
from audit.models.composed_interface import ComposedInterface, Targets
from audit.models.errors import ModelError
from audit.models.network import network
from audit.models.random_tokens import RandomTokens
from audit.models.stated_weights import expect_stated, told_in_one_line
from audit.models.tokenizers import Tokenizer, TokenizerMissingError, tokenizer_of
from audit.models.transformers_folder import (
    WEIGHTS,
    folder_of,
    read_config,
    read_preprocessor,
    weights_at_hand,
)
from audit.models.transformers_pictures import pictures_of
from audit.models.transformers_towers import TransformersTowers
from audit.models.wanted import RANDOM, Wanted, looks_like_file, random_weights_note

PREFIX = "hf:"
PACKAGE = "transformers"
TWO_TOWERS = ("CLIPModel", "MetaClip2Model", "SiglipModel")
_CLASSIFIER = "ForImageClassification"
_REFUSED = ("TimmWrapper", "ShieldGemma2", "ImageGPT", "Siglip2")  # other weights, or other inputs
_SHOWN = 3


def load_transformers(
    source: str, pretrained: str | None, wanted: Wanted
) -> tuple[nn.Module, ComposedInterface, tuple[str, ...]]:
    """A model of transformers on the CPU, how it is called, and what is to be told of its weights.

    Args:
        source: ``hf:FOLDER``, or ``hf:NAME`` of what lies in the hub's cache.
        pretrained: None for the folder's own weights, a checkpoint file, or ``random``.
        wanted: seed of random weights, tokenizer, and whether anything may be downloaded.

    Raises:
        ModelError: no such folder, a model of another kind, a configuration that names code,
            missing weights or tokenizer.
    """
    transformers = _transformers()
    name = source.removeprefix(PREFIX)
    with network(allowed=wanted.allow_download):
        folder = folder_of(name, allow_download=wanted.allow_download)
        config = read_config(folder)
        kind = _kind(transformers, folder, config)
        _expect_weights(source, folder, pretrained)
        with _quiet(transformers), told_in_one_line(source, pretrained):
            settings = kind.config_class.from_dict(_without_name(config))
            module, notes = _create(kind, folder, settings, pretrained, wanted.seed)
            _forget_place(module)
            pictures, told = pictures_of(transformers, read_preprocessor(folder), settings)
            targets, told_too = _targets(source, folder, module, settings, pretrained, wanted)
    return module, ComposedInterface(pictures, targets), (*notes, *told, *told_too)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            "models of 'hf:' need the package transformers; install it with "
            "'pip install explainer-audit[hf]'"
        ) from error
    return transformers


def _kind(transformers: Any, folder: Path, config: Mapping[str, Any]) -> Any:
    """The class of transformers that a configuration names."""
    listed = config.get("architectures")
    name = listed[0] if isinstance(listed, list) and listed else None
    known = isinstance(name, str) and (name in TWO_TOWERS or name.endswith(_CLASSIFIER))
    found = getattr(transformers, name, None) if known and isinstance(name, str) else None
    if found is None or str(name).removesuffix(_CLASSIFIER) in _REFUSED:
        raise ModelError(
            f"{folder / 'config.json'}: architectures: expected a class of transformers for image "
            f"classification (…{_CLASSIFIER}) or two towers ({', '.join(TWO_TOWERS)}), found "
            f"{name!r}"
        )
    return found


def _expect_weights(source: str, folder: Path, pretrained: str | None) -> None:
    if pretrained is not None:
        expect_stated(source, pretrained, ())
    elif not weights_at_hand(folder):
        raise ModelError(
            f"expected weights in the folder '{folder}' ({', '.join(WEIGHTS)}), found none; put "
            "them there, or give --pretrained FILE, or --pretrained random"
        )


def _without_name(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without what no model of it needs, such as where it once lay."""
    return {key: value for key, value in config.items() if key not in ("_name_or_path", "auto_map")}


def _create(
    kind: Any, folder: Path, settings: Any, pretrained: str | None, seed: int
) -> tuple[nn.Module, tuple[str, ...]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if pretrained is None:
            module, info = kind.from_pretrained(
                str(folder),
                config=settings,
                local_files_only=True,
                weights_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            return module, tuple(_told(info))
        module = kind(settings).float()
    if pretrained == RANDOM:
        return module, (random_weights_note(seed),)
    return module, load_file(module, pretrained) if looks_like_file(pretrained) else ()


def _forget_place(module: nn.Module) -> None:
    """Where a model lay is no part of what it is."""
    for part in module.modules():
        for holder in (part, getattr(part, "config", None)):
            if getattr(holder, "name_or_path", None):
                holder.name_or_path = ""  # type: ignore[union-attr]


def _told(info: Mapping[str, Any]) -> Iterator[str]:
    """What transformers found missing in the weights, or too much."""
    sentences = {
        "missing_keys": "are not among the weights of the folder and have random values",
        "mismatched_keys": "have another shape among the weights of the folder and random values",
        "unexpected_keys": "are among the weights of the folder and not in the model",
    }
    for key, sentence in sentences.items():
        names = sorted(str(n[0] if isinstance(n, tuple) else n) for n in info.get(key) or ())
        if names:
            rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"{', '.join(names[:_SHOWN])}{rest} {sentence}."


def _targets(
    source: str, folder: Path, module: Any, settings: Any, pretrained: str | None, wanted: Wanted
) -> tuple[Targets, tuple[str, ...]]:
    """Class ids, or texts of a text tower."""
    if type(module).__name__ not in TWO_TOWERS:
        labels = [settings.id2label[i] for i in range(settings.num_labels)]
        classes = class_names(settings.num_labels, labels, f"'{source}'")
        return ClassHead(classes), classes.notes
    text = settings.text_config
    context, vocabulary = int(text.max_position_embeddings), int(text.vocab_size)
    told: tuple[str, ...] = ()
    try:
        tokenizer: Tokenizer = tokenizer_of(
            source, folder, context, vocabulary, tokenizer=wanted.tokenizer
        )
    except TokenizerMissingError:
        if pretrained != RANDOM:
            raise
        tokenizer = rows = RandomTokens(context, vocabulary, wanted.seed)
        told = (rows.note(source),)
    return TransformersTowers(tokenizer), told


@contextlib.contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """What transformers logs and warns of is told in our own words, or is an error."""
    logger, told = logging.getLogger("transformers"), transformers.utils.logging
    level, bars = logger.level, told.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    told.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        if bars:
            told.enable_progress_bar()
