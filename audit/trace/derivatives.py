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

from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.unwrapped_values import beneath, plain
from audit.trace.differentiable_states import PIXELS
from audit.trace.differentiation import Differentiating
from audit.trace.frames import Frames, Place
from audit.trace.gradients import Gradients
from audit.trace.lineage import Anchor, Lineage, union
from audit.trace.lineages import Lineages
from audit.trace.observations import ScalarSeen
from audit.trace.passes import Passes
from audit.trace.probe_scores import ProbeScores
from audit.trace.text_choice import narrowed


class _Thread(threading.local):
    """Which gradients a thread is taking."""

    scalars: tuple[int, ...] = ()
    recomputes: bool = False


@dataclass(frozen=True)
class _Taking:
    """A gradient that is being taken: the scalars of the one around it, and of what it is."""

    outer: tuple[int, ...]
    roots: Sequence[Tensor]
    directions: Sequence[Tensor | None]
    place: Place


class Derivatives(Differentiating):
    """Notes what is differentiated.

    Args:
        model: the model that the explainer receives.
        passes: the runs, with their features.
        lineages: of every tensor.
        probed: scores that are made of others.
        frames: finds the explainer's line.
        scale: the model's logit scale.
    """

    def __init__(
        self,
        model: nn.Module,
        passes: Passes,
        lineages: Lineages[Any],
        probed: ProbeScores,
        frames: Frames,
        scale: float,
    ) -> None:
        self.scalars: list[ScalarSeen] = []
        self.gradients = Gradients(model, passes)
        self.scale = scale
        self._passes = passes
        self._lineages = lineages
        self._probed = probed
        self._frames = frames
        self._tangents: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._thread = _Thread()

    def taking(self) -> frozenset[int]:
        """Numbers of the scalars whose gradients this thread is taking."""
        return frozenset(self._thread.scalars)

    def module_runs(self) -> None:
        """A module runs: within a gradient, what was not kept is computed again."""
        self._thread.recomputes = bool(self._thread.scalars)

    def in_engine(self) -> bool:
        """Whether an operation is the engine's own, which computes nothing but a derivative."""
        return not self._thread.recomputes and self.only_derivative()

    def only_derivative(self) -> bool:
        """Whether a result that is no state of the model is a derivative."""
        return bool(self._thread.scalars) and not self._frames.caller_is_within_gradient()

    def output(self, t: Tensor, found: frozenset[Anchor]) -> None:
        """A feature of the given picture or text, from which the explainer's own code goes on."""
        anchor = next(iter(found))
        if len(found) == 1 and anchor.site == "feature" and not self._thread.scalars:
            run = self._passes.runs[anchor.run]
            if run.inputs is not None and len(run.inputs) == 1 < len(t):  # all rows are the same
                rows = run.inputs.expand(len(t), *run.inputs.shape[1:])
                run = replace(run, inputs=rows)
            if run.inputs is not None and len(t) == len(run.inputs):
                self.gradients.output(t, run)

    def before_gradient(
        self, roots: Sequence[Tensor], directions: Sequence[Tensor | None]
    ) -> _Taking:
        """Note what is differentiated."""
        place, _ = self._frames.caller()
        first = len(self.scalars)
        for number, root in enumerate(roots):
            direction = directions[number] if number < len(directions) else None
            self._differentiated(root, direction, place)
        taking = _Taking(self._thread.scalars, roots, directions, place)
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
            held = inputs or self._pixels_with_gradients()
            found = gradients if inputs else [t.grad for t in held]
            self.gradients.taken(
                scalars[0], root, direction, held, found, self._state_of, note.place
            )

    def _pixels_with_gradients(self) -> list[Tensor]:
        """Inputs of the model whose ``grad`` was added to."""
        held = [beneath(t) for t in self._passes.entered]
        return [t for t in held if t.is_leaf and t.grad is not None]

    def _state_of(self, t: Tensor) -> Anchor | None:
        """Which state of a given run a tensor is."""
        if any(t is one for one in self._passes.entered):
            return Anchor("image", 0, PIXELS, "all", 0)
        anchors = self._lineages.get(t).anchors
        if len({(a.tower, a.block, a.site) for a in anchors}) != 1 or t.numel() < 2:
            return None
        anchor = next(iter(anchors))
        if anchor.terminal or anchor.site == "inside" or not self._passes.runs[anchor.run].given:
            return None
        whole = not anchor.site.startswith("mean") and self._passes.find(t, (anchor.tower,))
        return anchor if whole else None

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
