"""Is a gradient the model's own? The vector–Jacobian product of the explainer's scalar, again.

What an explainer does to the model's outputs until it has its scalar is a handful of operations.
They are run again with autograd on, then the untouched model from its input to the same outputs. A
gradient by a state of the model that is not what comes out of that was taken backward otherwise:
by a custom function, a hook, or another rule.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from audit.models.jit_tracing import called
from audit.models.tower_chain import ChainTower
from audit.models.unwrapped_values import beneath, is_transformed, plain
from audit.models.value_flow import tensors_among
from audit.trace.backward_rules import custom_functions, hooked_modules
from audit.trace.differentiable_states import (
    OUTPUT,
    PIXELS,
    differentiable_graphs,
    gradient_parts,
)
from audit.trace.fingerprint import Prints, fingerprint, matches, row_views
from audit.trace.frames import Place
from audit.trace.lineage import Anchor, words_of
from audit.trace.observations import Run
from audit.trace.operations import Operation
from audit.trace.passes import Passes

_MOST_OPERATIONS = 400
_MOST_RUNS = 32
_MOST_HOOKS = 3
_TINY = 1e-30


@dataclass(frozen=True)
class GradientSeen:
    """A gradient by a state of the model.

    Attributes:
        scalar: number of the scalar that it is of.
        by: the state, in words.
        own: whether it is the model's own.
        error: relative L2 difference to the model's, None where the shapes differ.
        rule: what made it otherwise, in words; empty where nothing is known.
        place: the explainer's line.
    """

    scalar: int
    by: str
    own: bool
    error: float | None
    rule: str
    place: Place


@dataclass
class _Tail:
    """Operations from the model's outputs on, by the identity of their results."""

    calls: list[tuple[Operation, list[Tensor]]] = field(default_factory=list)
    made: set[int] = field(default_factory=set)


class Gradients:
    """Compares gradients with the untouched model's.

    Args:
        model: the model that the explainer receives.
        passes: the runs and their states.

    Attributes:
        models: the model, and the copies of it that were run.
        seen: what was compared.
    """

    def __init__(self, model: nn.Module, passes: Passes) -> None:
        self.models = [model]
        self._passes = passes
        self._tail = _Tail()
        self._outputs: dict[int, tuple[weakref.ref[Tensor], Run]] = {}
        self.seen: list[GradientSeen] = []

    def output(self, t: Tensor, run: Run) -> None:
        """A feature of the model, for the input of a run, as the explainer's code gets it."""
        self._outputs[id(t)] = (weakref.ref(t), run)

    def follow(self, operation: Operation, results: list[Tensor]) -> None:
        """Remember an operation on the model's outputs."""
        tail = self._tail
        if len(tail.calls) >= _MOST_OPERATIONS:
            return
        operands = operation.tensors
        follows = any(id(t) in tail.made or self._run_of(t) is not None for t in operands)
        if follows and results:
            tail.calls.append((operation, results))
            tail.made |= {id(t) for t in results}

    def taken(
        self,
        scalar: int,
        root: Tensor,
        direction: Tensor | None,
        inputs: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        state_of: Callable[[Tensor], Anchor | None],
        place: Place,
    ) -> None:
        """Gradients were taken of a root by some tensors.

        Args:
            scalar: number of the root among the scalars.
            root: what was differentiated.
            direction: what it was contracted with, None for a plain sum.
            inputs: by what.
            gradients: what came out, one for each.
            state_of: which state of the model a tensor is, None where it is none.
            place: the explainer's line.
        """
        asked = [
            (state, g, plain(by))
            for by, g in zip(inputs, gradients, strict=True)
            if g is not None and (state := state_of(beneath(by))) is not None
        ]
        if not asked or is_transformed(root):
            return
        pixels = [by for state, _, by in asked if state.site == PIXELS]
        expected = self._expected(
            beneath(root), direction, [state for state, _, _ in asked], pixels
        )
        if expected is None:
            return
        hooked = [f"hook on {path}" for path in hooked_modules(self.models)]
        rule = ", ".join([*custom_functions(root), *hooked[:_MOST_HOOKS]])
        for state, g, _ in asked:
            if state.tower in expected.towers:
                own, error = expected.nearest(plain(g))
                where = self._passes.structure.tower(state.tower).words(state.block)
                what = PIXELS if state.site == PIXELS else words_of(state, where)
                seen = GradientSeen(scalar, what, own, error, "" if own else rule, place)
                self.seen.append(seen)

    def _run_of(self, t: Tensor) -> Run | None:
        known = self._outputs.get(id(t))
        return known[1] if known is not None and known[0]() is t else None

    def _expected(
        self,
        root: Tensor,
        direction: Tensor | None,
        states: Sequence[Anchor],
        pixels: Sequence[Tensor],
    ) -> _Known | None:
        """Gradients of the root by some states of the runs whose outputs it is made of."""
        leaves, value = self._again(root)
        if value is None or not value.requires_grad or len(leaves) > _MOST_RUNS:
            return None
        weights = torch.ones_like(value) if direction is None else plain(direction).to(value)
        with torch.enable_grad():
            found = torch.autograd.grad(
                value, [leaf for leaf, _ in leaves], weights, allow_unused=True
            )
        known = _Known(self._passes)
        for (_, run), cotangent in zip(leaves, found, strict=True):
            if cotangent is not None and run.inputs is not None:
                for one in (run, *_of_other_pixels(run, pixels)):
                    known.add(one, cotangent, states)
        return known if known.states else None

    def _again(self, root: Tensor) -> tuple[list[tuple[Tensor, Run]], Tensor | None]:
        """The operations from the model's outputs to a root, again, with autograd on."""
        here: dict[int, Tensor] = {}
        leaves: list[tuple[Tensor, Run]] = []

        def current(t: Tensor) -> Tensor:
            if id(t) in here:
                return here[id(t)]
            run = self._run_of(t)
            if run is None:
                return plain(t)
            leaf = plain(t).clone().requires_grad_()
            here[id(t)] = leaf
            leaves.append((leaf, run))
            return leaf

        with torch.enable_grad():
            if self._run_of(root) is not None:
                return leaves, current(root)
            for operation, results in self._tail.calls:
                given = operation.args, operation.kwargs
                inputs, keywords = tree_map_only(Tensor, current, given)
                try:
                    out = called(operation.func, inputs, keywords)
                except RuntimeError:  # written in place where a leaf may not be
                    return leaves, None
                outs = list(tensors_among(out))
                here |= {id(r): o for r, o in zip(results, outs, strict=False)}
        return leaves, here.get(id(root))


def _of_other_pixels(run: Run, pixels: Sequence[Tensor]) -> Iterator[Run]:
    """The run on pictures that have its feature as well: a norm may take the scale of pixels."""
    given = run.inputs
    for other in pixels if given is not None and run.tower == "image" else ():
        if given is not None and other.shape == given.shape and not torch.equal(other, given):
            yield replace(run, inputs=other)


class _Known:
    """Gradients of the untouched model by its states.

    Args:
        passes: the runs.
    """

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self.towers: set[str] = set()
        self.states: list[tuple[Tensor, float]] = []
        self._prints: dict[int, list[tuple[Prints, float]]] = {}

    def add(self, run: Run, cotangent: Tensor, wanted: Sequence[Anchor]) -> None:
        """Take the gradients of a run's feature, contracted with a cotangent, by some states."""
        tower = run.precision.structure.tower(run.tower)
        self.towers.add(run.tower)
        asked = {(a.block, a.site) for a in wanted if a.tower == run.tower}
        parted = {b for b, _ in asked if isinstance(tower, ChainTower) and tower.attends(b)}
        found: list[tuple[str, Tensor | None]] = []
        with run.precision.entered(), torch.enable_grad():
            for graph in differentiable_graphs(tower, run, asked):
                by = [
                    (site, state)
                    for block, site, state in graph[:-1]
                    if (block, site) in asked or site == OUTPUT or block in parted
                ]
                if by:
                    feature = graph[-1][2]
                    along = cotangent.to(feature.dtype).reshape(feature.shape)
                    states = [state for _, state in by]
                    slopes = torch.autograd.grad(feature, states, along, allow_unused=True)
                    found += [(site, slope) for (site, _), slope in zip(by, slopes, strict=True)]
        pooled = tower.pooled_index(run.inputs) if run.inputs is not None else None
        for site, gradient in found:
            if gradient is not None and pooled is not None:
                tolerance = self._passes.rounding.of_gradients(run.precision)
                for part in gradient_parts(site, gradient, pooled):
                    self._add(part, tolerance)

    def _add(self, gradient: Tensor, tolerance: float) -> None:
        self.states.append((gradient, tolerance))
        for rows in (gradient.reshape(len(gradient), -1), gradient.reshape(1, -1)):
            self._prints.setdefault(rows.shape[1], []).append((fingerprint(rows), tolerance))

    def nearest(self, gradient: Tensor) -> tuple[bool, float | None]:
        """Whether a gradient is one of these, and how far it is from the nearest of its shape."""
        for rows in row_views(gradient, self._passes.index.heads):
            prints = fingerprint(rows)
            for known, tolerance in self._prints.get(rows.shape[1], []):
                if matches(prints, known, tolerance).any(1).all():
                    return True, 0.0
        alike = [g for g, _ in self.states if g.shape == gradient.shape]
        errors = [float((gradient - g).norm() / g.norm().clamp(min=_TINY)) for g in alike]
        return False, min(errors, default=None)
