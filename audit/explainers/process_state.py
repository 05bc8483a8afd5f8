"""Settings of torch that hold for the whole process or thread: an explainer leaves them as before.

Each is put back when an explainer has returned or raised; who audits the explainer is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

Told = Callable[[str], None]

_told: list[Told] = []


@dataclass(frozen=True)
class _Setting:
    """A setting in words, how it is read, and how it is put back."""

    name: str
    read: Callable[[], object]
    write: Callable[[object], None]


def _default_device(value: object) -> None:
    plain = torch.device("cpu")
    torch.set_default_device(None if value == plain else value)  # type: ignore[arg-type]


_SETTINGS = (
    _Setting("default dtype", torch.get_default_dtype, torch.set_default_dtype),  # type: ignore[arg-type]
    _Setting("default device", torch.get_default_device, _default_device),
    _Setting("gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),  # type: ignore[arg-type]
    _Setting(
        "autocast on the CPU",
        lambda: torch.is_autocast_enabled("cpu"),
        lambda value: torch.set_autocast_enabled("cpu", bool(value)),
    ),
    _Setting(
        "autocast on CUDA",
        lambda: torch.is_autocast_enabled("cuda"),
        lambda value: torch.set_autocast_enabled("cuda", bool(value)),
    ),
)


@contextmanager
def told_of_settings(tell: Told) -> Iterator[None]:
    """Tell, in words, of every setting that an explainer leaves otherwise."""
    _told.append(tell)
    try:
        yield
    finally:
        _told.remove(tell)


@contextmanager
def kept_settings() -> Iterator[None]:
    """Put torch's settings back as they were."""
    before = [setting.read() for setting in _SETTINGS]
    try:
        yield
    finally:
        for setting, was in zip(_SETTINGS, before, strict=True):
            now = setting.read()
            if now != was:
                setting.write(was)
                for tell in tuple(_told):
                    tell(f"{setting.name} {was} → {now}")
