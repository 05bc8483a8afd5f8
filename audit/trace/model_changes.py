"""Watches the model's modules while an explainer runs: weights and structure at every use."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from audit.models.pristine import same_values
from audit.models.unwrapped_values import plain_tree
from audit.models.value_flow import tensors_among
from audit.trace.frames import Frames, Place, call_keywords
from audit.trace.integrity import Change, Integrity

_ROUNDINGS = 64


class ModelChanges:
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
        self._pending: dict[str, tuple[list[Change], Place, tuple[Any, ...], dict[str, Any]]] = {}
        self._memory = {m: path for path, t in integrity.tensors.items() if (m := _memory_of(t))}
        self._suspected = self._written = False
        self._looked_at: set[str] = set()
        self._below: dict[str, list[str]] = {}
        self._harmless: dict[Change, bool] = {}
        self._modes: set[str] = set()

    def module(self, path: str, args: tuple[Any, ...]) -> None:
        """Check a module that is about to run, and the one that holds it."""
        found = self._of(path)
        for change in found:
            if change.attribute and path == change.path and self._same_result(change, path, args):
                found = [one for one in found if one is not change]
        methods = [c for c in found if c.method]
        if methods:
            self._pending[path] = (methods, self.frames.caller()[0], args, call_keywords())
            found = [c for c in found if not c.method]
        if path:
            holder = path.rpartition(".")[0]
            found += [c for c in self._of(holder) if not c.attribute and not c.method]
        if path in self._towers:
            found += self.integrity.library("during")
        self.note(found)

    def has_run(self, path: str, out: Any) -> None:
        """Judge methods that were replaced by what the module gave with them.

        What gives the same, as a wrapper does that only reads, is told and no fault.
        """
        methods, place, args, keywords = self._pending.pop(path, ((), None, (), {}))
        if not methods or place is None:
            return
        same = _gives_same(self._pristine[path], args, keywords, out)
        for change in methods:
            what = f"{change.what} by one that gives the same" if same else change.what
            told = replace(change, altering=not same, what=what)
            self.changes.setdefault(told, place)

    def unfinished(self) -> None:
        """Methods that were replaced in modules that never came to an end."""
        for methods, place, _, _ in self._pending.values():
            for change in methods:
                self.changes.setdefault(change, place)

    def _of(self, path: str) -> list[Change]:
        if path not in self.integrity.modules:
            return []
        weights = [] if self._is_clear(path) else self.integrity.weights_of(path, "during")
        return [*weights, *self.integrity.structure_of(path, "during")]

    def is_intact(self, path: str) -> bool:
        """Whether every tensor below a path is as it was; notes those that are not."""
        if path not in self._below:
            prefix = f"{path}." if path else ""
            every = self.integrity.modules
            self._below[path] = [p for p in every if p == path or p.startswith(prefix)]
        found = [
            change
            for one in self._below[path]
            if not self._is_clear(one)
            for change in self.integrity.weights_of(one, "during")
        ]
        self.note(found)
        return not found

    def suspect(self) -> None:
        """From now on a tensor may change unseen: look at the content of all at every use."""
        self._suspected = True

    def _is_clear(self, path: str) -> bool:
        """Whether the tensors of a module need no look at their content.

        Writes are operations, and are seen. What cannot be seen is a write through memory that was
        handed out, or before the first look.
        """
        if self._suspected or path not in self._looked_at:
            self._looked_at.add(path)
            return False
        module = self.integrity.modules[path].module
        prefix = f"{path}." if path else ""
        own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        return not self._written and all(
            self.integrity.tensors.get(f"{prefix}{n}") is t
            and self._is_in_place(t)
            and t._version == self.integrity.versions[f"{prefix}{n}"]  # noqa: SLF001
            for n, t in own
        )

    def used(self, path: str, tensor: Tensor, *, own: bool) -> None:
        """Check a parameter that an operation is about to use.

        Modules are checked whole when they run: of a parameter that the model's own code uses it is
        enough to know that it is still where it was.

        Args:
            path: dotted name.
            tensor: the parameter.
            own: whether the explainer's own code uses it.
        """
        if self.integrity.tensors.get(path) is not tensor:
            return  # a copy, which was recognized by its values
        original = self.integrity.originals[path]
        if (own or not self._is_in_place(tensor)) and not same_values(tensor, original):
            self.note(list(self.integrity.tensor_changes(path, tensor, "during")))

    def _is_in_place(self, t: Tensor) -> bool:
        """Whether a tensor lies where a parameter did; of a device without addresses, yes."""
        memory = _memory_of(t)
        return not memory or memory in self._memory

    def written(self, t: Tensor) -> None:
        """Something was written in place, maybe into the memory of a parameter."""
        path = self._memory.get(_memory_of(t))
        if path is not None:
            self._written = True
            self.note([Change("weights", path, "written in place", "during")])

    def note(self, found: list[Change]) -> None:
        """Keep changes with the line that runs."""
        if found:
            place, _ = self.frames.caller()
            for change in found:
                self.changes.setdefault(change, place)

    def copy_runs(self, path: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Check the mode of a module of a copy that is about to run; the path is the original's."""
        before = self.integrity.modules[path]
        usual = module.training == before.flags["training"] or type(module) is not before.type
        if usual or path in self._modes or next(module.children(), None) is not None:
            return
        self._modes.add(path)
        twin = copy.deepcopy(self._pristine[path]).train(module.training)
        if not _same_in_mode(self._pristine[path], twin, args, call_keywords()):
            mode = "training" if module.training else "evaluation"
            what = f"{type(module).__name__} in {mode} mode, in a copy"
            self.note([Change("structure", path, what, "during")])

    def _same_result(self, change: Change, path: str, args: tuple[Any, ...]) -> bool:
        """Whether a changed attribute leaves what the module computes from these arguments."""
        known = self._harmless.get(change)
        if known is None:
            known = _replayed_alike(
                self._pristine[path], self.integrity.modules[path].module, change.attribute, args
            )
            self._harmless[change] = known
        return known


def _gives_same(
    pristine: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any], out: Any
) -> bool:
    """Whether a module gave, to a few roundings, what the untouched one gives."""
    expected = _given_by(pristine, args, keywords)
    found = next(tensors_among(plain_tree(out)), None)
    if expected is None or found is None or expected.shape != found.shape:
        return False
    size = float(expected.abs().max()) * torch.finfo(found.dtype).eps
    return bool((found - expected).abs().max() <= _ROUNDINGS * size)


def _given_by(module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> Tensor | None:
    """The first tensor that a module gives; None where it cannot be run again."""
    try:
        with torch.no_grad():
            return next(tensors_among(module(*plain_tree(args), **plain_tree(keywords))), None)
    except Exception:  # noqa: BLE001 - what cannot be replayed is not proven harmless
        return None


def _same_in_mode(
    pristine: nn.Module, twin: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]
) -> bool:
    """Whether an untouched module gives the same in another mode, as one without dropout does."""
    with torch.random.fork_rng(devices=[]):
        before, after = _given_by(pristine, args, keywords), _given_by(twin, args, keywords)
    return before is not None and after is not None and same_values(before, after)


def _memory_of(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()


def _replayed_alike(
    pristine: nn.Module, altered: nn.Module, attribute: str, args: tuple[Any, ...]
) -> bool:
    """Whether an untouched module gives the same first tensor with the attribute as it is now."""
    if not hasattr(altered, attribute):
        return False
    twin = copy.copy(pristine)
    setattr(twin, attribute, getattr(altered, attribute))
    before, after = _given_by(pristine, args, {}), _given_by(twin, args, {})
    return before is not None and after is not None and same_values(before, after)
