"""Copies of the model: recognized by structure and content, whatever they are called."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from audit.models.pristine import same_values
from audit.models.unwrapped_values import plain
from audit.trace.integrity import Integrity

_FEWEST_TENSORS = 4


@dataclass(frozen=True)
class Adopted:
    """A module that is a copy of the model or of a part of it.

    Attributes:
        path: dotted name of the part, empty for the whole model.
        tensors: how many parameters it has.
        different: how many of them differ.
        example: one that does and how far it is off, empty where none does.
    """

    path: str
    tensors: int
    different: int
    example: str = ""

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
    best: Adopted | None = None
    for path, state in integrity.modules.items():
        theirs = _same_part(own, path, integrity) if state.type is type(module) else None
        if theirs is None:
            continue
        other = [n for n in own if not same_values(own[n], theirs[n].to(own[n].dtype))]
        if best is None or len(other) < best.different:
            example = _off(joined(path, other[0]), own[other[0]], theirs[other[0]]) if other else ""
            best = Adopted(path, len(own), len(other), example)
    return best


def _off(name: str, own: Tensor, theirs: Tensor) -> str:
    """A tensor and how far it is from the model's."""
    largest = float((plain(own).double().cpu() - plain(theirs).double().cpu()).abs().max())
    return f"{name} by up to {largest:.3g}"


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
