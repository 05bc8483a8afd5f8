"""Copies of the model: recognized by structure and content, whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from audit.models.pristine import same_values
from audit.trace.integrity import Integrity

_FEWEST_TENSORS = 4


@dataclass(frozen=True)
class Adopted:
    """A module that is a copy of the model or of a part of it.

    Attributes:
        path: dotted name of the part, empty for the whole model.
        tensors: how many parameters it has.
        different: how many of them differ.
    """

    path: str
    tensors: int
    different: int

    @property
    def name(self) -> str:
        """The part in words."""
        return self.path or "the model"


def adopt(module: nn.Module, integrity: Integrity) -> Adopted | None:
    """The part of the model that a module copies; the one it equals best where several fit."""
    own = dict(module.named_parameters())
    types = {state.type for state in integrity.modules.values()}
    if type(module) not in types or len(own) < _FEWEST_TENSORS:
        return None
    best, equal = None, -1
    for path, state in integrity.modules.items():
        theirs = _same_part(own, path, integrity) if state.type is type(module) else None
        if theirs is None:
            continue
        same = sum(same_values(own[n], theirs[n].to(own[n].dtype)) for n in own)
        if same > equal:
            best, equal = path, same
    return None if best is None else Adopted(best, len(own), len(own) - equal)


def _same_part(
    own: dict[str, nn.Parameter], path: str, integrity: Integrity
) -> dict[str, Tensor] | None:
    """The model's tensors of the same names below a path, None unless all are there and fit."""
    found = {name: integrity.originals.get(joined(path, name)) for name in own}
    theirs = {name: tensor for name, tensor in found.items() if tensor is not None}
    fits = len(theirs) == len(own) and all(own[n].shape == theirs[n].shape for n in own)
    return theirs if fits else None


def joined(path: str, name: str) -> str:
    """A dotted name below another."""
    return f"{path}.{name}" if path else name
