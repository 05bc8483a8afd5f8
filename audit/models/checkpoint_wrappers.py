"""What training code wraps around a state dict: tables around it, prefixes before its names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TypeGuard

from torch import Tensor

TABLES = ("state_dict", "model_state_dict", "model")
PREFIXES = ("_orig_mod.", "module.", "base_model.model.", "model.", "clip.")


def unwrapped(found: object) -> tuple[Mapping[str, Tensor] | None, tuple[str, ...]]:
    """The state dict within what a checkpoint file holds, and the tables it was taken out of.

    None where there is no state dict, or where two tables could be it.
    """
    taken: list[str] = []
    while isinstance(found, dict) and not _is_state(found):
        inner = [name for name in TABLES if isinstance(found.get(name), dict)]
        if len(inner) != 1:
            return None, ()
        taken += inner
        found = found[inner[0]]
    return (found, tuple(taken)) if _is_state(found) else (None, ())


def unprefixed(
    state: Mapping[str, Tensor], own: Collection[str] = ()
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """A state dict without the prefixes that all its names share, and these prefixes.

    Args:
        state: tensors by name.
        own: names of the model that is to get them; a prefix that one of them bears stays.
    """
    taken: list[str] = []
    names = {name: name for name in state}
    while names and not set(names.values()) & set(own):
        prefix = next((p for p in PREFIXES if all(n.startswith(p) for n in names.values())), None)
        if prefix is None:
            break
        taken.append(prefix)
        names = {name: short.removeprefix(prefix) for name, short in names.items()}
    return {short: state[name] for name, short in names.items()}, tuple(taken)


def _is_state(found: object) -> TypeGuard[dict[str, Tensor]]:
    return (
        isinstance(found, dict)
        and bool(found)
        and all(isinstance(n, str) and isinstance(t, Tensor) for n, t in found.items())
    )
