"""Loading the model under audit: its name says which source has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from audit.models import bundled
from audit.models.anatomy import UnknownAnatomyError
from audit.models.checkpoints import expect_finite
from audit.models.errors import ModelError
from audit.models.model_under_audit import ModelInterface, ModelUnderAudit
from audit.models.open_clip_source import FOLDER, PACKAGE, RANDOM, known_models, load_open_clip

BUNDLED = "bundled"
PACKAGES = (PACKAGE,)
"""The distributions that models come from, whose versions a result states."""

Loader = Callable[..., tuple[nn.Module, ModelInterface, tuple[str, ...]]]
_LOADERS: Mapping[str, Loader] = {FOLDER: load_open_clip}
"""Who loads a name with a prefix; one without is an architecture of open_clip."""


def load_model(
    name: str = BUNDLED,
    pretrained: str | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    seed: int = 0,
    allow_download: bool = False,
) -> ModelUnderAudit:
    """Load a model.

    Args:
        name: ``bundled``, an open_clip architecture, or ``local-dir:FOLDER``.
        pretrained: an open_clip tag, a checkpoint file, or ``random``; None for the weights that
            lie in the folder.
        device: torch device.
        dtype: ``float32``, ``float64``, ``float16`` or ``bfloat16``.
        seed: of random weights.
        allow_download: fetch weights and tokenizer where they are not on this machine.

    Raises:
        ModelError: unknown name or tag, missing file, unreadable weights, unavailable device.
        UnknownAnatomyError: the model is of a kind that is not known.
    """
    torch_device, torch_dtype = _device(device), _dtype(dtype)
    source = f"{FOLDER}{bundled.DIRECTORY}" if name == BUNDLED else name
    prefix, colon, _ = source.partition(":")
    load = _LOADERS.get(prefix + colon, load_open_clip)
    module, interface, notes = load(source, pretrained, seed, allow_download=allow_download)
    module = module.eval().to(device=torch_device, dtype=torch_dtype)
    expect_finite(module.state_dict(), f"{pretrained or name} in {dtype}")
    interface.anatomy(module)  # no check goes without one so far
    return ModelUnderAudit(name, pretrained, module, interface, torch_device, torch_dtype, notes)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"unknown device '{name}'; expected cpu, cuda, cuda:1, …") from error
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
