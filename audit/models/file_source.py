"""A model of the user's own: a function in a Python file, or an entry point of a package.

The user names the code, and it is run, as that of an explainer is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from audit.foreign_import import Importer, no_function_named
from audit.models import model_sources
from audit.models.checkpoint_order import load_file
from audit.models.class_head import ClassHead
from audit.models.composed_interface import ComposedInterface
from audit.models.errors import ModelError
from audit.models.model_under_audit import ModelInterface, ModelUnderAudit
from audit.models.own_targets import OwnTargets
from audit.models.python_object import model_of, two_towers_of
from audit.models.wanted import RANDOM, Wanted, looks_like_file

FORM = "() -> {'module': …, 'preprocess': …, 'classes': […]}"
_SETTINGS = "settings"  # the file itself stands for them


class ModelImportError(ModelError):
    """The code of a model cannot be imported, or raises.

    Attributes:
        traceback: the original traceback as text, empty where nothing raised.
    """

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


_IMPORTER = Importer("model", FORM, ModelImportError)


def load_plugin(
    source: str, pretrained: str | None, wanted: Wanted
) -> tuple[nn.Module, ModelInterface, tuple[str, ...]]:
    """The model of an entry point, as `load_own` gives it."""
    function = _IMPORTER.from_plugin(model_sources.plugins()[source])
    return _called(source, function, pretrained, wanted)


def load_own(
    source: str, pretrained: str | None, wanted: Wanted
) -> tuple[nn.Module, ModelInterface, tuple[str, ...]]:
    """The model that a function returns.

    Args:
        source: ``FILE.py:function``; the function takes nothing, and returns a `ModelUnderAudit`,
            or a dictionary of what `audit.models.python_object` makes one of.
        pretrained: a checkpoint file that is laid into the module; None for the weights that it
            has.
        wanted: seed of what the function draws at random.

    Raises:
        ModelError: no such function, it raises, or it returns something else.
    """
    if source.endswith(".py"):
        raise ModelError(no_function_named("model", source))
    path, _, function = source.rpartition(":")
    return _called(source, _IMPORTER.from_file(path, function), pretrained, wanted)


def _called(
    source: str, function: Callable[[], object], pretrained: str | None, wanted: Wanted
) -> tuple[nn.Module, ModelInterface, tuple[str, ...]]:
    if pretrained is not None and (pretrained == RANDOM or not looks_like_file(pretrained)):
        raise ModelError(
            f"--pretrained {pretrained}: the function of '{source}' states its weights itself; "
            "expected a checkpoint file, or leave --pretrained out"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(wanted.seed)
        try:
            found = function()
        except ModelError:
            raise
        except Exception as error:  # of the user's own code
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ModelError(f"model '{source}': its function raised {cause}") from error
    model = _model(source, found)
    told = load_file(model.module, pretrained) if pretrained else ()
    interface = _with_code(model.interface, function)
    return model.module, interface, (*model.notes, *told)


def _model(source: str, found: Any) -> ModelUnderAudit:
    if isinstance(found, ModelUnderAudit):
        return found
    given = dict(found) if isinstance(found, Mapping) else {}
    make = two_towers_of if "encode" in given else model_of
    keys = {n: p for n, p in inspect.signature(make).parameters.items() if n != _SETTINGS}
    needed = [name for name, key in keys.items() if key.default is inspect.Parameter.empty]
    wrong = [key for key in given if key not in keys]
    missing = [key for key in needed if key not in given]
    if wrong or missing:
        names = "', '".join(wrong or missing)
        what = f"a dictionary {'with' if wrong else 'without'} '{names}'"
        raise ModelError(
            f"model '{source}': expected a function that returns a dictionary with "
            f"{', '.join(needed)}, and optionally {', '.join(k for k in keys if k not in needed)}, "
            f"or a ModelUnderAudit, got {what if given else type(found).__name__}"
        )
    return make(**given)


def _with_code(interface: ModelInterface, function: Callable[..., Any]) -> ModelInterface:
    """The interface with the hash of the function's file in its configuration."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    file = Path(code.co_filename) if code else None
    if file is None or not file.is_file() or not isinstance(interface, ComposedInterface):
        return interface
    targets = interface.targets
    if not isinstance(targets, (ClassHead, OwnTargets)):
        return interface
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    coded = dataclasses.replace(targets, settings={**targets.settings, "code": digest})
    return dataclasses.replace(interface, targets=coded)
