"""Loading the model under audit: its name says which source has it."""

from __future__ import annotations

from pathlib import Path

import torch

from audit.models import bundled
from audit.models.anatomy import UnknownAnatomyError
from audit.models.checkpoints import expect_finite
from audit.models.errors import ModelError
from audit.models.model_sources import SOURCES, source_of
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.open_clip_source import FOLDER, known_models
from audit.models.wanted import RANDOM, Wanted
from audit.models.written_models import BUNDLED, unknown_device

PACKAGES = tuple(source.package for source in SOURCES.values() if source.package)
"""The distributions that models come from, whose versions a result states."""


def load_model(
    name: str = BUNDLED,
    pretrained: str | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    seed: int = 0,
    allow_download: bool = False,
    tokenizer: str | None = None,
) -> ModelUnderAudit:
    """Load a model.

    Args:
        name: ``bundled``, an open_clip architecture, ``local-dir:FOLDER``, ``timm:NAME``,
            ``torchvision:NAME``, ``hf:FOLDER``, ``FILE.py:function``, or an entry point of the
            group ``audit.models``.
        pretrained: a tag of the library, a checkpoint file, or ``random``; None for the weights
            that come with the name, as in a folder.
        device: torch device.
        dtype: ``float32``, ``float64``, ``float16`` or ``bfloat16``.
        seed: of random weights.
        allow_download: fetch weights and tokenizer where they are not on this machine.
        tokenizer: a folder with a ``tokenizer.json``, in the place of the model's own tokenizer.

    Raises:
        ModelError: unknown name or tag, missing file, unreadable weights, unavailable device.
    """
    torch_device, torch_dtype = _device(device), _dtype(dtype)
    asked = f"{FOLDER}{bundled.DIRECTORY}" if name == BUNDLED else name
    wanted = Wanted(seed, allow_download, None if tokenizer is None else Path(tokenizer))
    module, interface, notes = source_of(asked).load(asked, pretrained, wanted)
    if tokenizer is not None and not interface.uses_templates:
        raise ModelError(
            f"--tokenizer {tokenizer}: the targets of '{name}' are classes, which need none; leave "
            "it out"
        )
    module = module.eval().to(device=torch_device, dtype=torch_dtype)
    expect_finite(module.state_dict(), f"{pretrained or name} in {dtype}")
    on_the_way = bundled.TOWER_PATHS if name == BUNDLED and pretrained is None else ()
    return ModelUnderAudit(
        name,
        pretrained,
        module,
        interface,
        torch_device,
        torch_dtype,
        notes,
        tokenizer,
        tuple(str(path) for path in on_the_way),
    )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(unknown_device(name)) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("device 'cuda' asked for, but torch finds no GPU; use --device cpu")
    return device


def _dtype(name: str) -> torch.dtype:
    known = {
        "float32": torch.float32,
        "float64": torch.float64,
        "float16": torch.float16,
        "bfloat16": torch.bfloat16,
    }
    if name not in known:
        raise ModelError(f"unknown dtype '{name}'; expected one of {', '.join(known)}")
    return known[name]


__all__ = [
    "BUNDLED",
    "FOLDER",
    "PACKAGES",
    "RANDOM",
    "ModelError",
    "ModelUnderAudit",
    "UnknownAnatomyError",
    "known_models",
    "load_model",
]
