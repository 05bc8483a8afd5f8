"""The configuration of a model in a folder: read as data, checked key by key before it is used."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import timm

from audit.models.errors import ModelError

CONFIG = "open_clip_config.json"
_MOST_BYTES = 1 << 20
_MOST = {
    "embed_dim": 65_536,
    "vision_cfg.image_size": 4_096,
    "vision_cfg.patch_size": 4_096,
    "vision_cfg.width": 65_536,
    "vision_cfg.layers": 1_024,
    "vision_cfg.head_width": 65_536,
    "text_cfg.context_length": 65_536,
    "text_cfg.vocab_size": 10_000_000,
    "text_cfg.width": 65_536,
    "text_cfg.heads": 4_096,
    "text_cfg.layers": 1_024,
}
_WORDS = {
    "mode": ("RGB",),
    "interpolation": ("bicubic", "bilinear"),
    "resize_mode": ("shortest", "longest", "squash"),
}
_PREFERRED = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)


def read_config(folder: Path) -> dict[str, Any]:
    """The section ``model_cfg`` of a folder's configuration, whose every value can be used.

    Raises:
        ModelError: no such file, no JSON, or a value that no model can have; the message names the
            key.
    """
    file = folder / CONFIG
    if not file.is_file():
        raise ModelError(
            f"expected {CONFIG} in the folder '{folder}', found none; give a folder that "
            "open_clip's push_to_hf_hub or save writes"
        )
    document = read_json(file)
    model = document.get("model_cfg")
    sections = model if isinstance(model, dict) else {}
    for name in ("vision_cfg", "text_cfg"):
        if not isinstance(sections.get(name), dict):
            raise ModelError(f"{file}: expected a table model_cfg.{name}, found none")
    wrong = next(_wrong(sections, document.get("preprocess_cfg") or {}), None)
    if wrong is not None:
        key, value, wanted = wrong
        raise ModelError(f"{file}: {key}: expected {wanted}, found {_shown(value)}")
    return sections


def read_json(file: Path) -> dict[str, Any]:
    """The table in a small JSON file.

    Raises:
        ModelError: too large, unreadable, or no table.
    """
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{file}: expected at most {_MOST_BYTES:,} bytes of JSON; shorten it")
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{file}: not readable as JSON ({error})") from error
    if not isinstance(document, dict):
        raise ModelError(f"{file}: expected a table, found {_shown(document)}")
    return document


def weights_of(folder: Path) -> Path | None:
    """The file that holds the weights of a folder, chosen as open_clip does; None without one."""
    found = sorted(p for end in ("safetensors", "bin", "pth") for p in folder.glob(f"*.{end}"))
    found = [p for p in found if p.is_file()]
    known = [folder / name for name in _PREFERRED if folder / name in found]
    tensors = [p for p in found if p.suffix == ".safetensors"]
    return next(iter([*known, *tensors, *found]), None)


Wrong = tuple[str, object, str]


def _wrong(model: Mapping[str, Any], preprocess: object) -> Iterator[Wrong]:
    """Each key whose value cannot be used, the value, and what was expected."""
    yield from _of_hubs(model)
    yield from _sizes(model)
    if not isinstance(preprocess, dict):
        yield "preprocess_cfg", preprocess, "a table"
        return
    for name, known in _WORDS.items():
        value = preprocess.get(name)
        if value is not None and value not in known:
            yield f"preprocess_cfg.{name}", value, " or ".join(known)
    if "size" in preprocess and not _is_square(preprocess["size"]):
        yield "preprocess_cfg.size", preprocess["size"], "one side of a square, in pixels"
    three: dict[str, tuple[Callable[[float], bool], str]] = {
        "mean": (lambda _: True, "three finite numbers"),
        "std": (lambda v: v > 0, "three finite numbers above 0"),
    }
    for name, (fits, wanted) in three.items():
        value = preprocess.get(name)
        if value is not None and not _three(value, fits):
            yield f"preprocess_cfg.{name}", value, wanted


def _of_hubs(model: Mapping[str, Any]) -> Iterator[Wrong]:
    text, vision = model["text_cfg"], model["vision_cfg"]
    if text.get("hf_model_name"):
        wanted = "a text tower of open_clip's own, since one of a hub is not fetched for a folder"
        yield "model_cfg.text_cfg.hf_model_name", text["hf_model_name"], wanted
    tower = vision.get("timm_model_name")
    if tower and not (isinstance(tower, str) and _is_of_timm(tower)):
        wanted = "the name of an architecture that the installed timm knows, and no address"
        yield "model_cfg.vision_cfg.timm_model_name", tower, wanted


def _is_of_timm(name: str) -> bool:
    return not set(name) & set(":/\\") and timm.is_model(name)


def _sizes(model: Mapping[str, Any]) -> Iterator[Wrong]:
    for place, most in _MOST.items():
        section, _, key = place.rpartition(".")
        values = model[section] if section else model
        if key not in values:
            continue
        value = values[key]
        if key == "image_size":
            if not _is_square(value) or _side(value) > most:
                wanted = f"one side of a square picture, from 1 to {most:,} pixels"
                yield f"model_cfg.{place}", value, wanted
            continue
        parts = value if key == "layers" and isinstance(value, list) and value else [value]
        if not all(_is_whole(part) and 1 <= part <= most for part in parts):
            yield f"model_cfg.{place}", value, f"a whole number from 1 to {most:,}"


def _is_square(value: object) -> bool:
    sides = value if isinstance(value, list) and len(value) in {1, 2} else [value]
    return all(_is_whole(s) and s > 0 for s in sides) and len(set(sides)) == 1


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, list) else value)


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _three(value: object, fits: Callable[[float], bool]) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) and fits(v)
            for v in value
        )
    )


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
