"""Records what an explainer executes on a model, without changing the model.

A `TorchFunctionMode` sees every torch call of the explainer and of the model's modules; a global
module hook sees the modules at the time of use. Values are compared at once with the states of a
pristine copy on the same input (see `audit.trace.lineage`), so that nothing large is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.anatomy import Anatomy, TowerName, anatomy_of
from audit.models.unwrapped_values import outside_transforms, plain
from audit.trace.attending import Attending
from audit.trace.chosen import narrowed
from audit.trace.entrances import entrance_paths, norm_paths
from audit.trace.features import is_strange
from audit.trace.frames import Frames, Place
from audit.trace.integrity import Integrity
from audit.trace.lineage import EMPTY, Anchor, Lineage, union
from audit.trace.modules import Modules
from audit.trace.passes import Passes
from audit.trace.probed import ProbedScores
from audit.trace.seen import ScalarSeen
from audit.trace.threads import in_every_thread
from audit.trace.torch_calls import (
    GRADIENTS,
    LEAVING,
    SILENT,
    SILENT_GETTERS,
    call_name,
    directions_of,
    is_getter,
    tensors_in,
)
from audit.trace.watch import Watch


class _Thread(threading.local):
    """Whether the recorder itself is at work in a thread."""

    noting = False


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
        self.modules = Modules(model, pristine, self.watch, self.lineages)
        self.attending = Attending(self.passes, self.frames)
        self.probed = ProbedScores(self.passes, self.frames)
        self.scalars: list[ScalarSeen] = []
        self.left: dict[Lineage, None] = {}
        self.foreign: list[Place] = []
        self.uses: dict[tuple[str, Place], int] = {}
        self.exports: dict[str, Place] = {}
        self.clean: set[TowerName] = set()
        self._lock = threading.Lock()
        self._thread = _Thread()
        self._around = ExitStack()
        scale = getattr(pristine, "logit_scale", None)
        self._scale = 1.0 if scale is None else float(scale.exp())
        self._norms = norm_paths(self.anatomy)
        self._entrances = entrance_paths(self.anatomy)

    # -- context --------------------------------------------------------------------------------

    def __enter__(self) -> Recorder:  # noqa: PYI034 - beartype resolves Self in whole classes only
        hook = module_hooks.register_module_forward_pre_hook(self._before_module)
        self._around.callback(hook.remove)
        self._around.enter_context(in_every_thread(self.__torch_function__))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)  # type: ignore[no-untyped-call]
        self._around.close()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """One thread at a time notes what it saw; what it does itself meanwhile is not seen."""
        with self._lock:
            self._thread.noting = True
            try:
                with outside_transforms():
                    yield
            finally:
                self._thread.noting = False

    def _before_module(self, module: nn.Module, args: Any) -> None:
        if not self._thread.noting:
            with self._noting():
                self.modules.before(module, args)

    # -- calls ----------------------------------------------------------------------------------

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """See one torch call."""
        del types
        kwargs = kwargs or {}
        name = call_name(func)
        if name in LEAVING and not self._thread.noting:
            with self._noting():
                self._leaves(args)
        if self._thread.noting or name in SILENT or (is_getter(func) and name in SILENT_GETTERS):
            return func(*args, **kwargs)
        if is_getter(func) and name == "grad":
            return self._gradient_read(func, args, kwargs)
        tensors = list(tensors_in((args, kwargs)))
        with self._noting(), torch.no_grad():
            self._recognize(tensors)
            inherited = union(self.lineages.get(t, EMPTY) for t in tensors)
            before = len(self.scalars)
            self._before(name, args, kwargs, tensors)
            scalars = range(before, len(self.scalars))
        out = func(*args, **kwargs)
        with self._noting(), torch.no_grad():
            if name in GRADIENTS:
                self._mark_gradients(out, scalars)
            else:
                self._after(name, args, kwargs, tensors, inherited, out)
        return out

    def _recognize(self, tensors: list[Tensor]) -> None:
        """Features that come back from numpy, a file or a transform, without a history."""
        for t in tensors:
            if t.ndim and t.shape[-1] == self.passes.feature_width and t not in self.lineages:
                found = self.passes.find(t)
                if found and all(a.terminal for a in found[0]):
                    self.lineages[t] = self._anchored(found[0])

    def _leaves(self, args: tuple[Any, ...]) -> None:
        """Values go to numpy or plain Python, where nobody follows them."""
        for t in tensors_in(args[:1]):
            lineage = self.lineages.get(t, EMPTY)
            if lineage.anchors or lineage.scalars or lineage.scores:
                self.left[lineage] = None
            elif lineage.params:
                place, own = self.frames.caller()
                self.exports.update((path, place) for path in lineage.params if own)

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
            self.attending.same(name)
        else:
            lineage = self.attending.other(name, t, inherited, args, kwargs, tensors)
            if is_strange(name, t, tensors, inherited, self.passes):
                lineage = self._with_stranger(lineage)
            self.probed.note(tensors, lineage)
            lineage = self.probed.cut(t, tensors, lineage)
        if lineage is not EMPTY:
            self.lineages[t] = narrowed(t, lineage, self.passes, self._scale)
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

    # -- gradients --------------------------------------------------------------------------------

    def _differentiated(self, args: Any, kwargs: Any, *, accumulates: bool) -> None:
        targets = kwargs.get("outputs", kwargs.get("tensors", args[0] if args else ()))
        place, _ = self.frames.caller()
        directions = directions_of(args, kwargs, accumulates=accumulates)
        for number, target in enumerate(tensors_in(targets)):
            lineage = self.probed.whole(self.lineages.get(target, EMPTY))
            value = plain(target).clone()
            direction = directions[number] if number < len(directions) else None
            if direction is not None and plain(direction).shape == value.shape:
                value = (value * plain(direction)).sum()
                lineage = union([lineage, self.lineages.get(direction, EMPTY)])
            lineage = narrowed(value, lineage, self.passes, self._scale)
            self.scalars.append(ScalarSeen(value, lineage, place, accumulates))
