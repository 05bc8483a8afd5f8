"""Is a gradient the model's own? The vector–Jacobian product of the explainer's scalar, again.

What an explainer does to the model's outputs until it has its scalar is a handful of operations.
They are run again with autograd on, then the untouched model from its input to the same outputs. A
gradient by a state of the model that is not what comes out of that was taken backward otherwise:
by a custom function, a hook, or another rule.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from audit.models.jit_tracing import called
from audit.models.unwrapped_values import beneath, is_transformed, plain
from audit.models.value_flow import tensors_among
from audit.trace.backward_hooks import End, Way
from audit.trace.backward_rules import custom_functions, hooked_modules
from audit.trace.differentiable_states import PIXELS
from audit.trace.frames import Place
from audit.trace.known_gradients import EVERY, At, Ending, KnownGradients
from audit.trace.lineage import Anchor, words_of
from audit.trace.observations import Run
from audit.trace.operations import Operation
from audit.trace.passes import Passes

_MOST_OPERATIONS = 400
_MOST_RUNS = 32
_MOST_HOOKS = 3


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


@dataclass(frozen=True)
class Hooked:
    """Where a hook reads gradients.

    Attributes:
        module: dotted name of the module, empty where the hook is on a tensor.
        way: how a module's hooks are called.
        states: those of the model that the tensor, or what the module gives, is.
        place: the hook's own line.
    """

    module: str
    way: Way
    states: tuple[Anchor, ...]
    place: Place


@dataclass(frozen=True)
class Arrived:
    """A gradient that a hook was given.

    Attributes:
        at: where.
        end: ``input`` or ``output`` of a module.
        number: place among the module's inputs or outputs.
        gradient: as it came, before any hook there.
    """

    at: Hooked
    end: End
    number: int
    gradient: Tensor


@dataclass
class _Tail:
    """Operations from the model's outputs on, by the identity of their results."""

    calls: list[tuple[Operation, list[Tensor]]] = field(default_factory=list)
    made: set[int] = field(default_factory=set)


class GradientComparison:
    """Compares gradients with the untouched model's.

    Args:
        models: the model, and the copies of it that are run.
        passes: the runs and their states.

    Attributes:
        seen: what was compared.
    """

    def __init__(self, models: list[nn.Module], passes: Passes) -> None:
        self.models = models
        self._passes = passes
        self._tail = _Tail()
        self._outputs: dict[int, tuple[weakref.ref[Tensor], Ending]] = {}
        self.seen: list[GradientSeen] = []

    def output(self, t: Tensor, run: Run, site: str) -> None:
        """A feature or output of the model, of a run, as the explainer's code gets it."""
        self._outputs[id(t)] = (weakref.ref(t), Ending(run, site))

    def follow(self, operation: Operation, results: list[Tensor]) -> None:
        """Remember an operation on the model's outputs."""
        tail = self._tail
        if len(tail.calls) >= _MOST_OPERATIONS:
            return
        operands = operation.tensors
        follows = any(id(t) in tail.made or self._ending_of(t) is not None for t in operands)
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
        arrived: Sequence[Arrived] = (),
    ) -> None:
        """Gradients were taken of a root by some tensors, or came to hooks.

        Args:
            scalar: number of the root among the scalars.
            root: what was differentiated.
            direction: what it was contracted with, None for a plain sum.
            inputs: by what.
            gradients: what came out, one for each.
            state_of: which state of the model a tensor is, None where it is none.
            place: the explainer's line.
            arrived: what hooks were given on the way.
        """
        asked = [
            (state, g, plain(by))
            for by, g in zip(inputs, gradients, strict=True)
            if g is not None and (state := state_of(beneath(by))) is not None
        ]
        if not (asked or arrived):
            return
        expected = self._expected(
            root,
            direction,
            [state for state, _, _ in asked] + [s for one in arrived for s in _wanted(one.at)],
            {(one.at.module, one.at.way) for one in arrived if one.at.module},
            [by for state, _, by in asked if state.site == PIXELS],
            hooked=any(not one.at.module for one in arrived),
        )
        if expected is None:
            return
        hooked = [f"hook on {path}" for path in hooked_modules(self.models)]
        rule = ", ".join([*custom_functions(root), *hooked[:_MOST_HOOKS]])

        def note(by: str, found: tuple[bool, float | None], place: Place) -> None:
            own, error = found
            self.seen.append(GradientSeen(scalar, by, own, error, "" if own else rule, place))

        for state, g, _ in asked:
            if state.tower in expected.towers:
                note(self._words(state), expected.nearest(plain(g)), place)
        for one in arrived:
            at: At = (one.at.module, one.at.way, one.end, one.number)
            found = expected.at_module(at, one.gradient)
            if found is None and one.at.states:
                found = expected.nearest(one.gradient)
                if not (found[0] or one.end == "output"):
                    found = None  # by what enters some operation, which is no state
            if found is not None:
                note(self._hook_words(one), found, one.at.place)

    def _words(self, state: Anchor) -> str:
        where = self._passes.structure.tower(state.tower).words(state.block)
        return PIXELS if state.site == PIXELS else words_of(state, where)

    def _hook_words(self, one: Arrived) -> str:
        if not one.at.module:
            return self._words(one.at.states[0])
        what = "what enters" if one.end == "input" else "the output of"
        return f"{what} {one.at.module}"

    def _ending_of(self, t: Tensor) -> Ending | None:
        known = self._outputs.get(id(t))
        return known[1] if known is not None and known[0]() is t else None

    def _expected(
        self,
        root: Tensor,
        direction: Tensor | None,
        states: Sequence[Anchor],
        modules: Collection[tuple[str, Way]],
        pixels: Sequence[Tensor],
        *,
        hooked: bool,
    ) -> KnownGradients | None:
        """Gradients of the root by some states of the runs whose outputs it is made of."""
        leaves, value = self._again(beneath(root))
        if value is None or not value.requires_grad or len(leaves) > _MOST_RUNS:
            return None
        weights = torch.ones_like(value) if direction is None else plain(direction).to(value)
        if weights.shape != value.shape:  # a transform adds what each of its rows has by itself
            if is_transformed(root) and not bool((weights == 1).all()):
                return None
            weights = torch.ones_like(value) if is_transformed(root) else weights
        with torch.enable_grad():
            found = torch.autograd.grad(
                value, [leaf for leaf, _ in leaves], weights, allow_unused=True
            )
        known = KnownGradients(self._passes)
        ends = [(e, c) for (_, e), c in zip(leaves, found, strict=True) if c is not None]
        for ending, cotangent in (*ends, *_together(ends)):
            if ending.run.inputs is not None:
                for run in (ending.run, *_of_other_pixels(ending.run, pixels)):
                    one = replace(ending, run=run)
                    known.add(one, cotangent, states, hooked=hooked)
                    known.add_at_modules(one, cotangent, modules)
        return None if known.empty else known

    def _again(self, root: Tensor) -> tuple[list[tuple[Tensor, Ending]], Tensor | None]:
        """The operations from the model's outputs to a root, again, with autograd on."""
        here: dict[int, Tensor] = {}
        leaves: list[tuple[Tensor, Ending]] = []

        def current(t: Tensor) -> Tensor:
            if id(t) in here:
                return here[id(t)]
            ending = self._ending_of(t)
            if ending is None:
                return plain(t)
            leaf = plain(t).clone().requires_grad_()
            here[id(t)] = leaf
            leaves.append((leaf, ending))
            return leaf

        with torch.enable_grad():
            if self._ending_of(root) is not None:
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


def _wanted(at: Hooked) -> Iterator[Anchor]:
    """States by which a hook may be given gradients: near a module all of its block."""
    yield from (replace(s, site=EVERY) if at.module else s for s in at.states)


def _together(ends: Sequence[tuple[Ending, Tensor]]) -> Iterator[tuple[Ending, Tensor]]:
    """What passes on the same input, of which a score is made, are contracted with in all."""
    alike: dict[tuple[int, str, torch.Size], list[tuple[Ending, Tensor]]] = {}
    for ending, cotangent in ends:
        kind = ending.run.number, ending.site, cotangent.shape
        alike.setdefault(kind, []).append((ending, cotangent))
    for same in alike.values():
        if len(same) > 1:
            yield same[0][0], torch.stack([cotangent for _, cotangent in same]).sum(0)


def _of_other_pixels(run: Run, pixels: Sequence[Tensor]) -> Iterator[Run]:
    """The run on pictures that have its feature as well: a norm may take the scale of pixels."""
    given = run.inputs
    for other in pixels if given is not None and run.tower == "image" else ():
        if given is not None and other.shape == given.shape and not torch.equal(other, given):
            yield replace(run, inputs=other)
