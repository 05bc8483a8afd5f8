"""Gradients of the untouched model: by its states, and as hooks on its modules are given them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from audit.models.tower import Tower
from audit.trace.backward_hooks import End, Gradients, Way, read_at
from audit.trace.differentiable_states import (
    OUTPUT,
    PIXELS,
    end_of,
    gradient_parts,
    graphs_of_states,
    slopes_from_the_first_values,
)
from audit.trace.fingerprint import Prints, fingerprint, matches, row_views
from audit.trace.lineage import Anchor
from audit.trace.observations import Run
from audit.trace.passes import Passes

_TINY = 1e-30
Tolerance = Callable[[], float]
"""Measured when it is asked for."""
EVERY = ""
"""Stands for every site of a block."""
At = tuple[str, Way, End, int]
"""A module, how its hooks are called, at which end, and the place among what is there."""


@dataclass(frozen=True)
class Ending:
    """Where a run ends: at the feature, or at what the model's own call gives.

    Attributes:
        run: of the unmodified model.
        site: which of both.
    """

    run: Run
    site: str = "feature"


@dataclass
class _Pool:
    """Gradients that one may be equal to.

    How far rounding moves gradients is measured only where one is not equal to the last digit.
    """

    gradients: list[Tensor] = field(default_factory=list)
    prints: dict[int, list[tuple[Prints, Tolerance]]] = field(default_factory=dict)

    def add(self, gradient: Tensor, tolerance: Tolerance) -> None:
        self.gradients.append(gradient)
        for rows in (gradient.reshape(len(gradient), -1), gradient.reshape(1, -1)):
            self.prints.setdefault(rows.shape[1], []).append((fingerprint(rows), tolerance))

    def nearest(self, gradient: Tensor, heads: frozenset[int]) -> tuple[bool, float | None]:
        pairs = [
            (prints, known, tolerance)
            for rows in row_views(gradient, heads)
            for prints in (fingerprint(rows),)
            for known, tolerance in self.prints.get(rows.shape[1], [])
        ]
        if any(matches(one, known, 0.0).any(1).all() for one, known, _ in pairs):
            return True, 0.0
        if any(matches(one, known, within()).any(1).all() for one, known, within in pairs):
            return True, 0.0
        alike = [g for g in self.gradients if g.shape == gradient.shape]
        errors = [float((gradient - g).norm() / g.norm().clamp(min=_TINY)) for g in alike]
        return False, min(errors, default=None)


class KnownGradients:
    """Gradients of the outputs of some runs.

    Args:
        passes: the runs.

    Attributes:
        towers: whose gradients are known.
    """

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self.towers: set[str] = set()
        self._states = _Pool()
        self._modules: dict[At, _Pool] = defaultdict(_Pool)

    @property
    def empty(self) -> bool:
        """Whether none is known."""
        return not (self._states.gradients or self._modules)

    def nearest(self, gradient: Tensor) -> tuple[bool, float | None]:
        """Whether a gradient is by one of the states, and how far it is from the nearest."""
        return self._states.nearest(gradient, self._passes.index.heads)

    def at_module(self, at: At, gradient: Tensor) -> tuple[bool, float | None] | None:
        """The same for what a hook is given; None where the model has nothing there."""
        if at not in self._modules:
            return None
        return self._modules[at].nearest(gradient, self._passes.index.heads)

    def add(
        self, ending: Ending, cotangent: Tensor, wanted: Sequence[Anchor], *, hooked: bool
    ) -> None:
        """Take the gradients of a run's end, contracted with a cotangent, by some states.

        Args:
            ending: of a run.
            cotangent: what is there is contracted with it.
            wanted: the states.
            hooked: whether hooks on tensors were given some of them.
        """
        run = ending.run
        asked = {(a.block, a.site) for a in wanted if a.tower == run.tower}
        if not asked:
            return
        tower = run.precision.structure.tower(run.tower)
        self.towers.add(run.tower)
        if not isinstance(tower, Tower):
            inside = {block for block, site in asked if site not in {PIXELS, OUTPUT}}
            asked |= {(block, EVERY) for block in inside if tower.attends(block)}
        assert run.inputs is not None  # noqa: S101 - asked before
        pooled = tower.pooled_index(run.inputs)
        tolerance = partial(self._passes.rounding.of_gradients, run.precision)
        with run.precision.entered(), torch.enable_grad():
            for states in graphs_of_states(tower, run, ending.site, asked, hooked=hooked):
                found = self._by(states, cotangent, asked)
                for site, gradient in found:
                    for part in gradient_parts(site, gradient, pooled):
                        self._states.add(part, tolerance)

    def _by(
        self,
        states: list[tuple[int, str, Tensor]],
        cotangent: Tensor,
        asked: set[tuple[int, str]],
    ) -> Iterator[tuple[str, Tensor]]:
        """Gradients by those states of a graph that may be asked for.

        A state of another name here, such as what enters the first block, is one of its block.
        """
        here = {(block, site) for block, site, _ in states}
        asked = asked | {(block, EVERY) for block, _ in asked - here}
        by = [
            (site, state)
            for block, site, state in states[:-1]
            if site == OUTPUT or {(block, site), (block, EVERY)} & asked
        ]
        if by:
            feature = states[-1][2]
            along = cotangent.to(feature.dtype).reshape(feature.shape)
            found = torch.autograd.grad(feature, [s for _, s in by], along, allow_unused=True)
            yield from ((site, g) for (site, _), g in zip(by, found, strict=True) if g is not None)

    def add_at_modules(
        self, ending: Ending, cotangent: Tensor, modules: Collection[tuple[str, Way]]
    ) -> None:
        """Take what hooks on some modules are given, while a run's end is differentiated."""
        run = ending.run
        tower = run.precision.structure.tower(run.tower)
        model = run.precision.structure.model
        inputs = run.inputs
        if not modules or inputs is None:
            return
        self.towers.add(run.tower)
        tolerance = partial(self._passes.rounding.of_gradients, run.precision)

        def reader(path: str, way: Way) -> None:
            def arrives(by_inputs: Gradients, by_outputs: Gradients) -> None:
                ends: tuple[tuple[End, Gradients], ...] = (
                    ("input", by_inputs),
                    ("output", by_outputs),
                )
                for end, gradients in ends:
                    for number, gradient in enumerate(gradients):
                        if gradient is not None:
                            known = self._modules[path, way, end, number]
                            known.add(gradient.detach().clone(), tolerance)

            for handle in read_at(model.get_submodule(path), way, arrives):
                stack.callback(handle.remove)

        with ExitStack() as stack, run.precision.entered(), torch.enable_grad():
            for path, way in modules:
                reader(path, way)
            if inputs.is_floating_point():
                inputs = inputs.to(run.precision.weights).clone().requires_grad_()
            else:
                stack.enter_context(slopes_from_the_first_values(model))
            feature = end_of(tower, ending.site, inputs)
            feature.backward(cotangent.to(feature.dtype).reshape(feature.shape))
