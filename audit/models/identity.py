"""What makes a model this model: its tensors, and all beside them that decides what it computes.

A head count, an activation function, a scale or a normalization epsilon is in no tensor. Two models
of equal weights that differ in one of them are different models, and evidence, baseline and
attestation of the one say nothing about the other.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

_SIMPLE = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.Size)
_OWN = frozenset({"training"})  # every module's own bookkeeping, which decides nothing in eval mode


def architecture_sha256(
    module: nn.Module, configuration: Mapping[str, object] | None = None
) -> str:
    """Hash of a model's structure: classes, plain attributes, functions, and how inputs enter it.

    Args:
        module: its submodules, their classes, attributes and functions count; tensors do not.
        configuration: what decides the model's input and is not in the module, such as transforms
            and tokenizer.
    """
    digest = hashlib.sha256()
    for path, part in module.named_modules():
        digest.update(f"{path}\0{_named(type(part))}\0".encode())
        for name, value in sorted(vars(part).items()):
            if name not in _OWN and not name.startswith("_"):
                for words in _described(value):
                    digest.update(f"{name}={words}\0".encode())
    for name, value in sorted((configuration or {}).items()):
        digest.update(f"{name}={value!r}\0".encode())
    return digest.hexdigest()


def _described(value: object) -> Iterator[str]:
    """A plain value or function in words that are the same in every process."""
    if isinstance(value, (Tensor, nn.Module)):
        return
    if isinstance(value, _SIMPLE):
        yield repr(value)
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        for item in items:
            yield from _described(item)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield repr(key)
            yield from _described(value[key])
    elif isinstance(value, functools.partial):
        yield from _described(value.func)
        yield from _described(value.args)
        yield from _described(value.keywords)
    elif inspect.isroutine(value) or inspect.isclass(value):
        yield _named(value)
    else:
        yield _named(type(value))
        yield from _described(dict(getattr(value, "__dict__", {})))


def _named(thing: object) -> str:
    return (
        f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__name__)}"
    )
