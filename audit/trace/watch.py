"""Watches the model's modules while an explainer runs: weights and structure at every use."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from audit.models.pristine import same_values
from audit.models.unwrapped_values import plain_tree
from audit.trace.frames import Frames, Place
from audit.trace.integrity import Change, Integrity
from audit.trace.torch_calls import tensors_in


class Watch:
    """Collects what of a model is not as it was, and where it was first seen.

    Args:
        integrity: a snapshot of the model.
        pristine: its untouched copy.
        frames: finds the explainer's line.
        towers: dotted names of the towers.
    """

    def __init__(
        self, integrity: Integrity, pristine: nn.Module, frames: Frames, towers: frozenset[str]
    ) -> None:
        self.integrity = integrity
        self.frames = frames
        self.changes: dict[Change, Place] = {}
        self._pristine = dict(pristine.named_modules())
        self._towers = towers
        self._harmless: dict[Change, bool] = {}

    def module(self, path: str, args: tuple[Any, ...]) -> None:
        """Check a module that is about to run, and the one that holds it."""
        found = self._of(path)
        for change in found:
            if change.attribute and path == change.path and self._same_result(change, path, args):
                found = [one for one in found if one is not change]
        if path:
            holder = path.rpartition(".")[0]
            found += [c for c in self._of(holder) if not c.attribute]
        if path in self._towers:
            found += self.integrity.library("during")
        self.note(found)

    def _of(self, path: str) -> list[Change]:
        if path not in self.integrity.modules:
            return []
        weights = self.integrity.weights_of(path, "during")
        return [*weights, *self.integrity.structure_of(path, "during")]

    def tensor(self, path: str, tensor: Tensor) -> None:
        """Check a parameter that the explainer's own code uses."""
        original = self.integrity.originals.get(path)
        if original is not None and not same_values(tensor, original):
            self.note(list(self.integrity.tensor_changes(path, tensor, "during")))

    def note(self, found: list[Change]) -> None:
        """Keep changes with the line that runs."""
        if found:
            place, _ = self.frames.caller()
            for change in found:
                self.changes.setdefault(change, place)

    def _same_result(self, change: Change, path: str, args: tuple[Any, ...]) -> bool:
        """Whether a changed attribute leaves what the module computes from these arguments."""
        known = self._harmless.get(change)
        if known is None:
            known = _replayed_alike(
                self._pristine[path], self.integrity.modules[path].module, change.attribute, args
            )
            self._harmless[change] = known
        return known


def _replayed_alike(
    pristine: nn.Module, altered: nn.Module, attribute: str, args: tuple[Any, ...]
) -> bool:
    """Whether an untouched module gives the same first tensor with the attribute as it is now."""
    if not hasattr(altered, attribute):
        return False
    twin = copy.copy(pristine)
    setattr(twin, attribute, getattr(altered, attribute))
    plain_args = plain_tree(args)
    try:
        with torch.no_grad():
            before = next(tensors_in(pristine(*plain_args)), None)
            after = next(tensors_in(twin(*plain_args)), None)
    except Exception:  # noqa: BLE001 - what cannot be replayed is not proven harmless
        return False
    return before is not None and after is not None and same_values(before, after)
