"""Derivatives that an explainer takes: which scalars they are of, and whether they are the model's.

Backward and forward mode are told by `audit.trace.differentiation`. What is computed within the
engine of autograd, or from a direction of forward mode, is a derivative, and no computation of the
explainer's own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.unwrapped_values import beneath, plain
from audit.models.value_flow import tensors_among
from audit.trace.backward_hooks import Arrives, End, Gradients, Way
from audit.trace.differentiable_states import PIXELS
from audit.trace.differentiation import Differentiating
from audit.trace.frames import Frames, Place, line_of
from audit.trace.gradients import Arrived, GradientComparison, Hooked
from audit.trace.kept_gradients import grown
from audit.trace.lineage import OUTPUTS, Anchor, Lineage, union
from audit.trace.lineages import Lineages
from audit.trace.module_calls import ModuleCalls
from audit.trace.observations import ScalarSeen
from audit.trace.operations import CREATING, results_of, writes_in_place
from audit.trace.passes import Passes
from audit.trace.probe_scores import ProbeScores
from audit.trace.text_choice import narrowed


class _Thread(threading.local):
    """Which gradients a thread is taking, and modules that run as a part of one."""

    scalars: tuple[int, ...] = ()
    recomputes: bool = False
    rules: int = 0


@dataclass(frozen=True)
class _Taking:
    """A gradient that is being taken.

    Attributes:
        outer: the scalars of the one around it.
        roots: what it is of.
        directions: what each root is contracted with.
        place: the explainer's line.
        held: tensors that keep their gradient, and what they kept before.
    """

    outer: tuple[int, ...]
    roots: Sequence[Tensor]
    directions: Sequence[Tensor | None]
    place: Place
    held: Sequence[tuple[Tensor, Tensor | None]]


class Derivatives(Differentiating):
    """Notes what is differentiated.

    Args:
        modules: those of the model, and of copies of it.
        passes: the runs, with their features.
        lineages: of every tensor.
        probed: scores that are made of others.
        frames: finds the explainer's line.
        scale: the model's logit scale.
    """

    def __init__(
        self,
        modules: ModuleCalls,
        passes: Passes,
        lineages: Lineages[Any],
        probed: ProbeScores,
        frames: Frames,
        scale: float,
    ) -> None:
        self.path_of = modules.same_as
        self.scalars: list[ScalarSeen] = []
        self.gradients = GradientComparison(modules.roots, passes)
        self.scale = scale
        self._passes = passes
        self._lineages = lineages
        self._probed = probed
        self._frames = frames
        self._tangents: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._kept: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._arrived: list[Arrived] = []
        self._gave: dict[str, tuple[Anchor, ...]] = {}
        self._thread = _Thread()

    def taking(self) -> frozenset[int]:
        """Numbers of the scalars whose gradients this thread is taking."""
        return frozenset(self._thread.scalars)

    def module_runs(self) -> bool:
        """A module runs: within a gradient, what was not kept is computed again.

        Returns:
            Whether it runs as a part of a backward rule, as relevance propagation has it; what it
            computes is a derivative then, modified or not, and no pass of the model.
        """
        thread = self._thread
        if thread.rules or (thread.scalars and self._frames.caller_is_backward_rule()):
            thread.rules += 1
            return True
        thread.recomputes = bool(thread.scalars)
        return False

    def module_ends(self) -> bool:
        """It has run; gives the same as `module_runs` did."""
        ends = self._thread.rules > 0
        self._thread.rules -= ends
        return ends

    def in_engine(self) -> bool:
        """Whether an operation is the engine's own, which computes nothing but a derivative."""
        if self._thread.rules:
            return True
        return not self._thread.recomputes and self.only_derivative()

    def only_derives(self, name: str) -> bool:
        """Whether the engine goes backward alone, and runs an operation on a tensor by itself."""
        if not self._thread.scalars or len(self._tangents) or name in CREATING:
            return False
        return not writes_in_place(name) and self.in_engine()

    def derived(self, name: str, out: Any) -> None:
        """Such an operation has run."""
        lineage = Lineage(scalars=self.taking())
        for t in results_of(name, out):
            if not t.is_meta:
                self._lineages[t] = lineage

    def only_derivative(self) -> bool:
        """Whether a result that is no state of the model is a derivative."""
        return bool(self._thread.scalars) and not self._frames.caller_is_within_gradient()

    def output(self, t: Tensor, found: frozenset[Anchor]) -> None:
        """A feature of the given picture or text, from which the explainer's own code goes on."""
        anchor = next(iter(found))
        ends = {"feature", OUTPUTS}
        if len(found) == 1 and anchor.site in ends and not self._thread.scalars:
            run = self._passes.runs[anchor.run]
            if run.inputs is not None and len(run.inputs) == 1 < len(t):  # all rows are the same
                rows = run.inputs.expand(len(t), *run.inputs.shape[1:])
                run = replace(run, inputs=rows)
            if run.inputs is not None and len(t) == len(run.inputs):
                self.gradients.output(t, run, anchor.site)

    def before_gradient(
        self, roots: Sequence[Tensor], directions: Sequence[Tensor | None]
    ) -> _Taking:
        """Note what is differentiated; a gradient within another is a part of that."""
        place, _ = self._frames.caller()
        if self._thread.scalars:
            self._thread.recomputes = False
            return _Taking(self._thread.scalars, (), (), place, ())
        first = len(self.scalars)
        for number, root in enumerate(roots):
            direction = directions[number] if number < len(directions) else None
            self._differentiated(root, direction, place)
        taking = _Taking(self._thread.scalars, roots, directions, place, self._holding())
        self._arrived = []
        self._thread.scalars = tuple(range(first, len(self.scalars)))
        self._thread.recomputes = False
        return taking

    def after_gradient(
        self, note: _Taking, inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]
    ) -> None:
        """Gradients came out of the engine."""
        scalars = self._thread.scalars
        self._thread.scalars, self._thread.recomputes = note.outer, False
        for t in gradients:
            if t is not None:
                self._lineages[beneath(t)] = Lineage(scalars=frozenset(scalars))
        if len(note.roots) == 1 and scalars:
            (root,), direction = note.roots, next(iter(note.directions), None)
            held = dict(grown(note.held)) if not inputs else {}
            self.gradients.taken(
                scalars[0],
                root,
                direction,
                inputs or list(held),
                gradients if inputs else list(held.values()),
                self._state_of,
                note.place,
                tuple(self._arrived),
            )

    def _holding(self) -> Sequence[tuple[Tensor, Tensor | None]]:
        """Tensors that keep their gradient: inputs of the model, and those told to."""
        held = [beneath(t) for t in self._passes.entered]
        every = [t for t in held if t.is_leaf and t.requires_grad] + list(self._kept)
        return [(t, None if t.grad is None else t.grad.clone()) for t in every]

    def tensor_hooked(self, t: Tensor, hook: object) -> Arrives | None:
        """A tensor has got a hook, or is to keep its gradient."""
        t = beneath(t)
        state = self._state_of(t)
        if state is None or self._thread.scalars:
            return None
        if hook is None:
            self._kept[t] = state
            return None
        return self._reader(Hooked("", "full", (state,), line_of(hook)))

    def module_hooked(self, module: nn.Module, way: Way, hooks: Sequence[object]) -> Arrives | None:
        """A module runs that has hooks for gradients."""
        path = self.path_of(module)
        if path is None or not hooks or self._thread.scalars:
            return None
        return self._reader(Hooked(path, way, (), line_of(hooks[0])))

    def hooked_module_gave(self, module: nn.Module, out: Any) -> None:
        """What a module with hooks for gradients gave."""
        path = self.path_of(module)
        if path is None or self._thread.scalars:
            return
        states = [self._state_of(beneath(t)) for t in tensors_among(out)]
        self._gave[path] = tuple(state for state in states if state is not None)

    def _reader(self, at: Hooked) -> Arrives:
        def arrives(by_inputs: Gradients, by_outputs: Gradients) -> None:
            where = replace(at, states=at.states or self._gave.get(at.module, ()))
            ends: tuple[tuple[End, Gradients], ...] = (("input", by_inputs), ("output", by_outputs))
            self._arrived += [
                Arrived(where, end, number, plain(gradient).clone())
                for end, gradients in ends
                for number, gradient in enumerate(gradients)
                if gradient is not None
            ]

        return arrives

    def _state_of(self, t: Tensor) -> Anchor | None:
        """Which state of a given run a tensor is."""
        kept: Anchor | None = self._kept.get(t)
        if kept is not None:
            return kept
        if any(t is one for one in self._passes.entered) or self._is_given(t):
            return Anchor("image", 0, PIXELS, "all", 0)
        anchors = self._lineages.get(t).anchors
        if len({(a.tower, a.block, a.site) for a in anchors}) != 1 or t.numel() < 2:
            return None
        anchor = next(iter(anchors))
        if anchor.terminal or anchor.site == "inside" or not self._passes.runs[anchor.run].given:
            return None
        whole = not anchor.site.startswith("mean") and self._passes.nearby(t, self._lineages.get(t))
        return anchor if whole else None

    def _is_given(self, t: Tensor) -> bool:
        """Whether a tensor holds the given picture, as a transform's wrappers do."""
        given = self._passes.given["image"]
        same = t.numel() == given.numel() and t.dtype == given.dtype and t not in self._lineages
        return same and torch.equal(plain(t).reshape(given.shape), given)

    def tangent_enters(self, tangent: Tensor) -> None:
        """A direction of forward mode; what is computed with it is a derivative."""
        self._tangents[beneath(tangent)] = True

    def tangent_read(self, primal: Tensor, tangent: Tensor) -> None:
        """The derivative of a value along a direction."""
        place, _ = self._frames.caller()
        self._differentiated(primal, None, place)
        here = beneath(tangent)
        self._lineages[here] = Lineage(scalars=frozenset({len(self.scalars) - 1}))
        self._tangents.pop(here, None)

    def any_tangent(self, tensors: list[Tensor]) -> bool:
        """Whether one of these is a derivative of forward mode."""
        return any(t in self._tangents for t in tensors)

    def is_tangent(self, t: Tensor, tensors: list[Tensor]) -> bool:
        """Whether the result of an operation on these is a derivative of forward mode."""
        found = self.any_tangent(tensors)
        if found:
            self._tangents[t] = True
        return found

    def _differentiated(self, root: Tensor, direction: Tensor | None, place: Place) -> None:
        lineage = self._probed.whole(self._lineages.get(beneath(root)))
        value = plain(root).clone()
        if direction is not None and plain(direction).shape == value.shape:
            weights = plain(direction)
            if not bool((weights == 1).all()) or value.numel() > 1:
                value = (value * weights).sum()
            lineage = union([lineage, self._lineages.get(beneath(direction))])
        lineage = narrowed(value, lineage, self._passes, self.scale)
        self.scalars.append(ScalarSeen(value, lineage, place))
