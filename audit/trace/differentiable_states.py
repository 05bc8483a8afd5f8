"""States of the untouched model in one graph with its output, to take gradients by."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from torch import Tensor, nn

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.tower_chain import ChainTower
from audit.models.transformer_block import Block
from audit.models.value_flow import tensors_among
from audit.trace.observations import Run
from audit.trace.states import (
    attention_parts,
    block_states,
    final_states,
    pooling_states,
    token_parts,
)

PIXELS = "the pixels"
OUTPUT = "output of a module"
PROJECTED = "projected attention output"
Graph = list[tuple[int, str, Tensor]]
"""Number of the block, site and values of states in one graph; the last one is the feature."""


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


def differentiable_graphs(
    tower: AnyTower, run: Run, asked: Collection[tuple[int, str]] | None = None
) -> Iterator[Graph]:
    """Runs of a tower from its input to its feature, the states of each in one graph.

    A tower of open_clip's own kind is run by its parts. Any other one is run as it is, with what
    its modules take and give for states, and once more with the attention of known blocks and
    poolings put together of its parts.

    Args:
        tower: of the untouched model.
        run: whose input runs through it.
        asked: number of the block and site of the states that are wanted; None for all.
    """
    if isinstance(tower, Tower):
        yield list(_parts(tower, run))
        return
    yield list(_module_outputs(tower, run))
    wanted = range(len(tower.blocks)) if asked is None else {index for index, _ in asked}
    if any(tower.attends(index) for index in wanted):
        yield list(_attention_parts(tower, run))


def _module_outputs(tower: ChainTower, run: Run) -> Iterator[tuple[int, str, Tensor]]:
    """Pixels, what each module takes and gives, and the feature, all in one graph."""
    assert run.inputs is not None  # noqa: S101 - asked before
    inputs = run.inputs
    if inputs.is_floating_point():
        inputs = inputs.to(run.precision.weights).clone().requires_grad_()
        yield 0, PIXELS, inputs
    met: list[Tensor] = []

    def entering(_module: nn.Module, args: object) -> None:
        met.extend(t for t in tensors_among(args) if t.requires_grad)

    def told(_module: nn.Module, _args: object, out: object) -> None:
        met.extend(t for t in tensors_among(out) if t.requires_grad)

    handles = [module.register_forward_hook(told) for module in tower.model.modules()]
    handles += [module.register_forward_pre_hook(entering) for module in tower.model.modules()]
    if not inputs.is_floating_point() and tower.blocks:
        first = tower.blocks[0].module
        handles.append(first.register_forward_pre_hook(_with_slopes, prepend=True))
    try:
        feature = tower.features(inputs)
    finally:
        for handle in handles:
            handle.remove()
    distinct = {id(t): t for t in met if t is not feature and t is not inputs}
    yield from ((0, OUTPUT, t) for t in distinct.values())
    yield len(tower.blocks), "feature", feature


def _with_slopes(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Embedded tokens by which gradients can be taken, as there are none by their ids."""
    return args[0].detach().requires_grad_(), *args[1:]


def _attention_parts(tower: ChainTower, run: Run) -> Iterator[tuple[int, str, Tensor]]:
    """Parts of known blocks and poolings, and the feature, all in one graph."""
    inputs = run.inputs
    assert inputs is not None  # noqa: S101 - asked before
    if inputs.is_floating_point():
        inputs = inputs.to(run.precision.weights)
    x = tower.embed(inputs).detach().requires_grad_()
    pooled, index, pooling = tower.pooled_index(inputs), 0, tower.pooling
    while index < len(tower.blocks):
        block = tower.blocks[index]
        if pooling is not None and index == pooling.first:
            states = list(pooling_states(pooling.view, x))
            yield from _in_graph(index, states)
            index = pooling.stop - 1
            site = "output" if tower.steps[index].output.ndim == 2 else PROJECTED
            x = next(t for name, _, t in states if name == site)
        elif isinstance(block, Block):
            states = list(block_states(block, x, tower.mask(x.shape[1]), pooled))
            yield from _in_graph(index, states)
            x = next(t for site, part, t in states if (site, part) == ("output", "all"))
        else:
            x = block.run(x)
        index += 1
        if index < len(tower.blocks):
            x = tower.passed_on(x, index - 1, inputs)
    yield len(tower.blocks), "feature", tower.readout(x, inputs)


def _in_graph(
    index: int, states: list[tuple[str, str, Tensor]]
) -> Iterator[tuple[int, str, Tensor]]:
    """Those states that are on the way to what follows, and no part of another."""
    whole = {site for site, part, _ in states if part == "all"}
    for site, part, state in states:
        derived = " of a head" in site or site.startswith("mean")
        if state.requires_grad and not derived and (part == "all" or site not in whole):
            yield index, site, state


def _parts(tower: Tower, run: Run) -> Iterator[tuple[int, str, Tensor]]:
    """A run of a tower by its parts, every state in one graph."""
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
