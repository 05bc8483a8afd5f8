"""States of the untouched model in one graph with its output, to take gradients by."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.tower_chain import ChainTower
from audit.models.transformer_block import Block
from audit.models.value_flow import tensors_among
from audit.trace.lineage import OUTPUTS
from audit.trace.observations import Run
from audit.trace.states import (
    attention_parts,
    block_states,
    final_states,
    outputs_kept,
    pooling_states,
    token_parts,
)

PIXELS = "the pixels"
OUTPUT = "output of a module"
PROJECTED = "projected attention output"
Graph = list[tuple[int, str, Tensor]]
"""Number of the block, site and values of states in one graph; the last one is the end."""


def gradient_parts(site: str, gradient: Tensor, pooled: Tensor) -> Iterator[Tensor]:
    """Gradients by the parts of a state that explainers compute alone."""
    if gradient.ndim > 2 and gradient.shape[-2] == 1:  # of one query, such as that of a pooling
        yield gradient
    elif site.startswith("attention") and gradient.ndim == 4:
        yield from (part for _, part in attention_parts(gradient, pooled))
    elif gradient.ndim == 3:
        yield from (part for _, part in token_parts(gradient, pooled))
    else:
        yield gradient


def graphs_of_states(
    tower: AnyTower, run: Run, end: str, asked: Collection[tuple[int, str]], *, hooked: bool
) -> Iterator[Graph]:
    """Runs of a tower from its input to its end, each with its states in one graph.

    Args:
        tower: of the unmodified model.
        run: what entered it.
        end: ``feature``, or ``outputs`` of the model's own call.
        asked: block and site of the states that matter.
        hooked: whether gradients are by what modules gave before anything wrote into it.
    """
    if isinstance(tower, Tower):
        plain = all(site == PIXELS for _, site in asked)
        yield list(_plain_run(tower, run) if plain else differentiable_states(tower, run))
        return
    yield list(_module_outputs(tower, run, end))
    if hooked:
        yield list(_module_outputs(tower, run, end, untouched=True))
    inside = {block for block, site in asked if site not in {PIXELS, OUTPUT}}
    if any(tower.attends(index) for index in inside):
        yield list(_by_parts(tower, run, end))


def _module_outputs(
    tower: ChainTower, run: Run, end: str, *, untouched: bool = False
) -> Iterator[tuple[int, str, Tensor]]:
    """Pixels, what each module takes and gives, and the end, all in one graph.

    Args:
        tower: of the unmodified model.
        run: what entered it.
        end: see `graphs_of_states`.
        untouched: whether what follows a module gets a copy of what it gives, to write into.
    """
    assert run.inputs is not None  # noqa: S101 - asked before
    inputs = run.inputs
    if inputs.is_floating_point():
        inputs = inputs.to(run.precision.weights).clone().requires_grad_()
        yield 0, PIXELS, inputs
    met: list[Tensor] = []

    def entering(_module: nn.Module, args: object) -> None:
        met.extend(t for t in tensors_among(args) if t.requires_grad)

    def told(_module: nn.Module, _args: object, out: object) -> object:
        met.extend(t for t in tensors_among(out) if t.requires_grad)
        return tree_map_only(Tensor, torch.clone, out) if untouched else None

    with ExitStack() as stack:
        if not inputs.is_floating_point():
            stack.enter_context(slopes_from_the_first_values(tower.model))
        for module in tower.model.modules():
            stack.callback(module.register_forward_hook(told).remove)
            stack.callback(module.register_forward_pre_hook(entering).remove)
        feature = end_of(tower, end, inputs)
    distinct = {id(t): t for t in met if t is not feature and t is not inputs}
    yield from ((0, OUTPUT, t) for t in distinct.values())
    yield len(tower.blocks), end, feature


@contextmanager
def slopes_from_the_first_values(model: nn.Module) -> Iterator[None]:
    """Make a pass differentiable from its first floating values on, as it is not by token ids.

    Those are the embedded tokens, whether a module gives them or they enter one.
    """
    begun = False

    def leaf(values: Any) -> Any:
        nonlocal begun
        if begun or not any(t.is_floating_point() for t in tensors_among(values)):
            return None
        begun = True
        return tree_map_only(
            Tensor, lambda t: t.detach().requires_grad_(t.is_floating_point()), values
        )

    with ExitStack() as stack:
        for module in model.modules():
            entered = module.register_forward_pre_hook(lambda _, args: leaf(args))
            given = module.register_forward_hook(lambda _, __, out: leaf(out))
            stack.callback(entered.remove)
            stack.callback(given.remove)
        yield


def end_of(tower: AnyTower, end: str, inputs: Tensor) -> Tensor:
    """The feature of some inputs, or what the model's own call gives on the way there."""
    if isinstance(tower, Tower) or end != OUTPUTS:
        return tower.features(inputs)
    with outputs_kept(tower) as outputs:
        tower.features(inputs)
    return outputs[0]


def _plain_run(tower: Tower, run: Run) -> Iterator[tuple[int, str, Tensor]]:
    """Pixels and feature of a run as the model computes it."""
    assert run.inputs is not None  # noqa: S101 - asked before
    pixels = run.inputs.to(run.precision.weights).clone().requires_grad_()
    yield 0, PIXELS, pixels
    yield len(tower.blocks), "feature", tower.features(pixels)


def _by_parts(tower: ChainTower, run: Run, end: str) -> Iterator[tuple[int, str, Tensor]]:
    """The states of those steps whose inside is known, and the feature, all in one graph."""
    inputs = run.inputs
    assert inputs is not None  # noqa: S101 - asked before
    if inputs.is_floating_point():
        inputs = inputs.to(run.precision.weights).clone().requires_grad_()
    x = tower.embed(inputs)
    x = x if x.requires_grad else x.detach().requires_grad_()
    pooled, index, pooling = tower.pooled_index(inputs), 0, tower.pooling
    while index < len(tower.blocks):
        block, mask = tower.blocks[index], tower.mask(x.shape[1])
        if pooling is not None and index == pooling.first:
            states = list(pooling_states(pooling.view, x))
            yield from _in_graph(index, states)
            index = pooling.stop - 1
            site = "output" if tower.steps[index].output.ndim == 2 else PROJECTED
            x = next(t for name, _, t in states if name == site)
        elif isinstance(block, Block):
            states = list(block_states(block, x, mask, pooled))
            yield from _in_graph(index, states)
            x = next(t for site, part, t in states if (site, part) == ("output", "all"))
        else:
            x = block.run(x, mask)
        index += 1
        if index < len(tower.blocks):
            x = tower.passed_on(x, index - 1, inputs)
    with outputs_kept(tower) as outputs:
        feature = tower.readout(x, inputs)
    yield len(tower.blocks), end, outputs[0] if end == OUTPUTS else feature


def _in_graph(
    index: int, states: list[tuple[str, str, Tensor]]
) -> Iterator[tuple[int, str, Tensor]]:
    """Those states that are on the way to what follows, and no part of another."""
    whole = {site for site, part, _ in states if part == "all"}
    for site, part, state in states:
        derived = " of a head" in site or site.startswith("mean")
        if state.requires_grad and not derived and (part == "all" or site not in whole):
            yield index, site, state


def differentiable_states(tower: AnyTower, run: Run) -> Iterator[tuple[int, str, Tensor]]:
    """A run of a tower by its parts, from its input to its feature, every state in one graph."""
    if not isinstance(tower, Tower):
        yield from _module_outputs(tower, run, "feature")
        return
    inputs = run.inputs
    assert inputs is not None  # noqa: S101 - asked before
    if tower.name == "image":
        inputs = inputs.to(run.precision.weights).clone().requires_grad_()
        yield 0, PIXELS, inputs
    x = tower.embed(inputs)
    if not x.requires_grad:
        x = x.detach().requires_grad_()
    pooled, mask = tower.pooled_index(inputs), tower.mask(x.shape[1])
    for block in tower.blocks:
        states = list(block_states(block, x, mask, pooled))
        yield from _in_graph(block.index, states)
        x = next(t for site, part, t in states if (site, part) == ("output", "all"))
    final = list(final_states(tower, x, pooled))
    for site in ("final norm", "feature"):
        yield len(tower.blocks), site, next(state for name, _, state in final if name == site)
