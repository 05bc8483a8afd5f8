"""Copies of the model: recognized by structure and content, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping
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
        different: names within it of those that differ or that the model does not have, and how.
        remade: whether it has others than the model, as where norms are fused with convolutions.
    """

    path: str
    tensors: int
    different: Mapping[str, str]
    remade: bool = False

    @property
    def name(self) -> str:
        """The part in words."""
        return self.path or "the model"

    @property
    def how(self) -> str:
        """How it differs, with an example; empty where it does not."""
        if not self.different:
            return ""
        name, off = next(iter(self.different.items()))
        example = f"{joined(self.path, name)} {off}"
        return f"{len(self.different)} of {self.tensors} tensors differ, {example}"

    def example_of(self, module: str) -> str:
        """A tensor of one of its modules that differs, and how."""
        own = {n: off for n, off in self.different.items() if n.rpartition(".")[0] == module}
        name, off = next(iter(own.items()))
        return f"{joined(self.path, name)} {off}"


def adopt(module: nn.Module, integrity: Integrity) -> Adopted | None:
    """The part of the model that a module copies; the one it equals best where several fit."""
    own = dict(module.named_parameters())
    if len(own) < _FEWEST_TENSORS:
        return None
    best: Adopted | None = None
    for path, state in integrity.modules.items():
        if state.type is not type(module):
            continue
        theirs = _same_part(own, path, integrity)
        if len(theirs) < len(own):
            continue
        fewer = len(own) < len(dict(state.module.named_parameters()))
        found = Adopted(path, len(own), _different(own, theirs), remade=fewer)
        if best is None or len(found.different) < len(best.different):
            best = found
    return best or _remade(own, integrity)


def _remade(own: dict[str, nn.Parameter], integrity: Integrity) -> Adopted | None:
    """The model itself, where a module has most of its tensors and some that are no tensors of it.

    Such are what `torch.fx` makes of it, and copies in which norms are fused away.
    """
    theirs = _same_part(own, "", integrity)
    if len(theirs) < _FEWEST_TENSORS or 2 * len(theirs) < len(own):
        return None
    originals = integrity.originals.items()
    weights = [n for n, t in originals if t.ndim > 1 and t.is_floating_point()]
    if 2 * sum(n in theirs for n in weights) < len(weights):
        return None
    different = _different(own, theirs)
    different |= {name: "is not the model's" for name in own if name not in theirs}
    return Adopted("", len(own), different, remade=True)


def _different(own: dict[str, nn.Parameter], theirs: dict[str, Tensor]) -> dict[str, str]:
    return {
        name: _off(own[name], tensor)
        for name, tensor in theirs.items()
        if not same_values(own[name], tensor.to(own[name].dtype))
    }


def _off(own: Tensor, theirs: Tensor) -> str:
    """How far a tensor is from the model's."""
    largest = float((plain(own).double().cpu() - plain(theirs).double().cpu()).abs().max())
    return f"by up to {largest:.3g}"


def _same_part(own: dict[str, nn.Parameter], path: str, integrity: Integrity) -> dict[str, Tensor]:
    """The model's tensors of the same names below a path, those that are there and fit."""
    found = {name: integrity.originals.get(joined(path, name)) for name in own}
    return {n: t for n, t in found.items() if t is not None and t.shape == own[n].shape}


def joined(path: str, name: str) -> str:
    """A dotted name below another."""
    return f"{path}.{name}" if path else name
