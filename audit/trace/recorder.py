"""Records what an explainer executes on a model, without changing the model.

A `TorchFunctionMode` sees every torch call of the explainer and of the model's modules; a global
module hook sees the modules at the time of use. Values are compared at once with the states of a
pristine copy on the same input (see `audit.trace.lineage`), so that nothing large is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.anatomy import Anatomy, Tower, TowerName, anatomy_of
from audit.trace.adoption import adopt, joined
from audit.trace.attention_calls import ATTENTION_CALLS
from audit.trace.features import is_strange
from audit.trace.fingerprint import fingerprint
from audit.trace.frames import Frames, Place
from audit.trace.integrity import Change, Integrity
from audit.trace.lineage import EMPTY, Anchor, Lineage, union
from audit.trace.passes import Passes
from audit.trace.plain import outside_transforms, plain, plain_tree
from audit.trace.seen import AttentionSeen, Run, ScalarSeen
from audit.trace.torch_calls import (
    GRADIENTS,
    SILENT,
    SILENT_GETTERS,
    call_name,
    is_getter,
    tensors_in,
)
from audit.trace.watch import Watch

_FEATURE_ONLY = frozenset({"logit_scale", "logit_bias"})
_QUERY_SITES = frozenset({"query", "key", "qkv", "normalized input", "input", "attention logits"})


class Recorder(TorchFunctionMode):
    """Context manager under which one explanation of one pair is traced.

    Args:
        model: the model that the explainer receives.
        pristine: a deep copy that nobody else touches.
        integrity: a snapshot of ``model``.
        image: the pair's picture, (1, 3, H, W).
        tokens: the pair's token ids, (1, context).
    """

    def __init__(
        self,
        model: nn.Module,
        pristine: nn.Module,
        integrity: Integrity,
        image: Tensor,
        tokens: Tensor,
    ) -> None:
        super().__init__()
        self.anatomy: Anatomy = anatomy_of(pristine)
        self.integrity = integrity
        self.frames = Frames(model)
        self.given: dict[TowerName, Tensor] = {"image": image, "text": tokens}
        self.lineages: WeakIdKeyDictionary = WeakIdKeyDictionary()
        with torch.no_grad():
            self.passes = Passes(self.anatomy, self.given, self.lineages)
        towers = frozenset({"", self.anatomy.image.path, self.anatomy.text.path})
        self.watch = Watch(integrity, pristine, self.frames, towers)
        self.scalars: list[ScalarSeen] = []
        self.attention: list[AttentionSeen] = []
        self.attention_calls = 0
        self.foreign: list[Place] = []
        self.uses: dict[tuple[str, Place], int] = {}
        self.copies: dict[str, str] = {}
        self.clean: set[TowerName] = set()
        self._busy = False
        self._handles: list[Any] = []
        self._paths = {id(state.module): path for path, state in integrity.modules.items()}
        self._kept: list[nn.Module] = [pristine]
        self._foreign_ids = {id(m) for m in pristine.modules()}
        self._norms = _norm_paths(self.anatomy)
        self._entrances = _entrance_paths(self.anatomy)
        self._register_parameters(model, "")

    def _register_parameters(self, module: nn.Module, prefix: str) -> None:
        for name, parameter in module.named_parameters(remove_duplicate=False):
            if name not in _FEATURE_ONLY:
                self.lineages[parameter] = Lineage(params=frozenset({joined(prefix, name)}))

    # -- context --------------------------------------------------------------------------------

    def __enter__(self) -> Recorder:  # noqa: PYI034 - Self is newer than Python 3.10
        self._handles = [module_hooks.register_module_forward_pre_hook(self._before_module)]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    # -- modules --------------------------------------------------------------------------------

    def _before_module(self, module: nn.Module, args: Any) -> None:
        if self._busy:
            return
        path = self._paths.get(id(module))
        if path is None and id(module) in self._foreign_ids:
            return
        self._busy = True
        try:
            with outside_transforms():
                if path is None:
                    self._adopt(module)
                else:
                    self._register_lent(path, module)
                    self.watch.module(path, args)
        finally:
            self._busy = False

    def _register_lent(self, path: str, module: nn.Module) -> None:
        """Tensors that stand in for parameters, as functional calls lend them, count as such."""
        for name, tensor in module._parameters.items():  # noqa: SLF001
            if tensor is not None and name not in _FEATURE_ONLY and tensor not in self.lineages:
                self.lineages[tensor] = Lineage(params=frozenset({joined(path, name)}))

    def _adopt(self, module: nn.Module) -> None:
        self._kept.append(module)
        self._foreign_ids.add(id(module))
        found = adopt(module, self.integrity)
        if found is None:
            return
        self._register_parameters(module, found.path)
        self._kept += list(module.modules())
        self._foreign_ids |= {id(sub) for sub in module.modules()}
        how = f"{found.different} of {found.tensors} tensors differ" if found.different else ""
        self.copies[found.name] = how
        if found.different:
            place, _ = self.frames.caller()
            what = f"a copy of {found.name} was run in which {how}"
            self.watch.changes.setdefault(Change("weights", found.path, what, "during"), place)

    # -- calls ----------------------------------------------------------------------------------

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """See one torch call."""
        kwargs = kwargs or {}
        name = call_name(func)
        if self._busy or name in SILENT or (is_getter(func) and name in SILENT_GETTERS):
            return func(*args, **kwargs)
        if is_getter(func) and name == "grad":
            return self._gradient_read(func, args, kwargs)
        tensors = list(tensors_in((args, kwargs)))
        before = len(self.scalars)
        self._busy = True
        try:
            with torch.no_grad(), outside_transforms():
                self._recognize(tensors)
                inherited = union(self.lineages.get(t, EMPTY) for t in tensors)
                self._before(name, args, kwargs, tensors)
        finally:
            self._busy = False
        out = func(*args, **kwargs)
        self._busy = True
        try:
            with torch.no_grad(), outside_transforms():
                if name in GRADIENTS:
                    self._mark_gradients(out, range(before, len(self.scalars)))
                else:
                    self._after(name, args, kwargs, tensors, inherited, out)
        finally:
            self._busy = False
        return out

    def _recognize(self, tensors: list[Tensor]) -> None:
        """Features that come back from numpy, a file or a transform, without a history."""
        for t in tensors:
            if t.ndim and t.shape[-1] == self.passes.feature_width and t not in self.lineages:
                found = self.passes.find(t)
                if found and all(a.terminal for a in found[0]):
                    self.lineages[t] = self._anchored(found[0])

    def _gradient_read(self, func: Any, args: Any, kwargs: Any) -> Any:
        out = func(*args, **kwargs)
        accumulated = (i for i, scalar in enumerate(self.scalars) if scalar.accumulates)
        self._mark_gradients(out, accumulated)
        return out

    def _mark_gradients(self, out: Any, scalars: Iterable[int]) -> None:
        lineage = Lineage(scalars=frozenset(scalars))
        for t in tensors_in(out):
            self.lineages[t] = lineage

    def _before(self, name: str, args: Any, kwargs: Any, tensors: list[Tensor]) -> None:
        if name in GRADIENTS:
            self._differentiated(args, kwargs, accumulates=name == "backward")
            return
        for tensor in tensors:
            lineage = self.lineages.get(tensor, EMPTY)
            if len(lineage.params) == 1 and not lineage.anchors:
                (path,) = lineage.params
                self._parameter_used(name, path, tensor, tensors)

    def _parameter_used(self, name: str, path: str, tensor: Tensor, tensors: list[Tensor]) -> None:
        place, own = self.frames.caller()
        if own and isinstance(tensor, nn.Parameter):
            self.uses[(path, place)] = self.uses.get((path, place), 0) + 1
            self.watch.tensor(path, tensor)
        others = [t for t in tensors if t is not tensor]
        if name == "layer_norm" and path in self._norms and tensors[0] is not tensor:
            tower, index = self._norms[path]
            self.passes.enter_block(tower, index, tensors[0], place)
        elif name in {"conv2d", "embedding"} and path in self._entrances and others:
            self.passes.enter_tower(self._entrances[path], others[0], place)

    def _after(
        self,
        name: str,
        args: Any,
        kwargs: Any,
        tensors: list[Tensor],
        inherited: Lineage,
        out: Any,
    ) -> None:
        outputs = [t for t in tensors_in(out) if t.is_floating_point()]
        if not outputs and name in {"__setitem__", "copy_"}:
            outputs = [args[0]] if isinstance(args[0], Tensor) else []
        for t in outputs:
            if isinstance(t, nn.Parameter) and t in self.lineages:
                continue
            self._set(name, t, inherited, args, kwargs, tensors)

    def _set(
        self,
        name: str,
        t: Tensor,
        inherited: Lineage,
        args: Any,
        kwargs: Any,
        tensors: list[Tensor],
    ) -> None:
        found = self.passes.find(t) if (inherited.anchors or inherited.params) else []
        if found:
            lineage = self._anchored(found[0])
            self.attention_calls += name in ATTENTION_CALLS
        else:
            lineage = self._attention_call(name, t, inherited, args, kwargs, tensors)
            if is_strange(name, t, tensors, inherited, self.passes):
                lineage = self._with_stranger(lineage)
        if lineage is not EMPTY:
            self.lineages[t] = lineage
        base = t._base  # noqa: SLF001
        if base is not None and (name.endswith("_") or name == "__setitem__"):
            self.lineages[base] = union([self.lineages.get(base, EMPTY), inherited])

    def _with_stranger(self, lineage: Lineage) -> Lineage:
        place, _ = self.frames.caller()
        self.foreign.append(place)
        return union([lineage, Lineage(foreign=frozenset({len(self.foreign) - 1}))])

    def _anchored(self, found: frozenset[Anchor]) -> Lineage:
        for anchor in found:
            run = self.passes.runs[anchor.run]
            if anchor.run < 2 and (anchor.terminal or (anchor.site == "input" and anchor.block)):
                self.clean.add(run.tower)
        runs = {a.run for a in found}
        inherits = union([self.passes.runs[r].inherits for r in runs])
        return inherits.inherited(found) if inherits is not EMPTY else Lineage(anchors=found)

    # -- attention --------------------------------------------------------------------------------

    def _attention_call(
        self,
        name: str,
        t: Tensor,
        inherited: Lineage,
        args: Any,
        kwargs: Any,
        tensors: list[Tensor],
    ) -> Lineage:
        """Note a call of attention whose result is not the model's."""
        where = self._block_of(inherited) if name in ATTENTION_CALLS and t.ndim >= 2 else None
        if where is None:
            return inherited
        self.attention_calls += 1
        tower, index = where
        run = self._run_of(inherited, tower, index)
        expected = run.attention.get(index) if run is not None else None
        t, args, kwargs, tensors = plain_tree((t, args, kwargs, tensors))
        seen = ATTENTION_CALLS[name](t, args, kwargs, tensors, expected)
        if seen is None:
            return inherited
        heads, executed = seen
        place, own = self.frames.caller()
        model = None if expected is None else expected.rows
        rows = executed if executed is not None else t.reshape(len(t), -1)
        self.attention.append(
            AttentionSeen(
                tower.name, index, name, heads, executed, model, fingerprint(rows), not own, place
            )
        )
        return union([inherited, Lineage(events=frozenset({len(self.attention) - 1}))])

    def _block_of(self, lineage: Lineage) -> tuple[Tower, int] | None:
        places = [(a.block, a.tower) for a in lineage.anchors if a.site in _QUERY_SITES]
        places += [
            (block.index, tower.name)
            for tower in (self.anatomy.image, self.anatomy.text)
            for block in tower.blocks
            if any(p.startswith(f"{block.path}.attn.in_proj") for p in lineage.params)
        ]
        if not places:
            return None
        index, name = max(places)
        tower = self.anatomy.tower(name)
        return (tower, index) if index < len(tower.blocks) else None

    def _run_of(self, lineage: Lineage, tower: Tower, index: int) -> Run | None:
        numbers = [a.run for a in lineage.anchors if a.tower == tower.name]
        known = [self.passes.runs[n] for n in numbers if index in self.passes.runs[n].blocks]
        return known[-1] if known else None

    # -- gradients --------------------------------------------------------------------------------

    def _differentiated(self, args: Any, kwargs: Any, *, accumulates: bool) -> None:
        targets = kwargs.get("outputs", kwargs.get("tensors", args[0] if args else ()))
        place, _ = self.frames.caller()
        for target in tensors_in(targets):
            lineage = self.lineages.get(target, EMPTY)
            self.scalars.append(ScalarSeen(plain(target).clone(), lineage, place, accumulates))


def _norm_paths(anatomy: Anatomy) -> dict[str, tuple[Tower, int]]:
    """Weights of the norms that blocks start with, and of the final norms."""
    paths = {}
    for tower in (anatomy.image, anatomy.text):
        for block in tower.blocks:
            paths[f"{block.path}.ln_1.weight"] = (tower, block.index)
        last = "ln_post" if tower.name == "image" else "ln_final"
        paths[joined(tower.path, f"{last}.weight")] = (tower, len(tower.blocks))
    return paths


def _entrance_paths(anatomy: Anatomy) -> dict[str, Tower]:
    """Weights of the first layers."""
    image, text = anatomy.image, anatomy.text
    return {
        f"{image.path}.conv1.weight": image,
        joined(text.path, "token_embedding.weight"): text,
    }
