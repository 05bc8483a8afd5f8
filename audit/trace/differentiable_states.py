"""States of the untouched model in one graph with its output, to take gradients by."""

from __future__ import annotations

from collections.abc import Collection, Iterator
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
    token_parts,
)

PIXELS = "the pixels"
OUTPUT = "output of a module"


def gradient_parts(site: str, gradient: Tensor, pooled: Tensor) -> Iterator[Tensor]:
    """Gradients by the parts of a state that explainers compute alone."""
    if site.startswith("attention") and gradient.ndim == 4:
        yield from (part for _, part in attention_parts(gradient, pooled))
    elif gradient.ndim == 3:
        yield from (part for _, part in token_parts(gradient, pooled))
    else:
        yield gradient


def graphs_of_states(
    tower: AnyTower, run: Run, end: str, asked: Collection[tuple[int, str]], *, hooked: bool
) -> Iterator[list[tuple[int, str, Tensor]]]:
    """Runs of a tower from its input to its end, each with its states in one graph.

    Args:
        tower: of the unmodified model.
        run: what entered it.
        end: ``feature``, or ``outputs`` of the model's own call.
        asked: block and site of the states that matter.
        hooked: whether gradients are by what modules gave before anything wrote into it.
    """
    if isinstance(tower, Tower):
        yield list(differentiable_states(tower, run))
        return
    yield list(_module_outputs(tower, run, end))
    if hooked:
        yield list(_module_outputs(tower, run, end, untouched=True))
    inside = {block for block, site in asked if site not in {PIXELS, OUTPUT}}
    if any(isinstance(block, Block) and block.index in inside for block in tower.blocks):
        yield list(_by_parts(tower, run, end))


def _module_outputs(
    tower: ChainTower, run: Run, end: str, *, untouched: bool = False
) -> Iterator[tuple[int, str, Tensor]]:
    """Pixels, what each module gives, and the end, all in one graph.

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
    outputs: list[Tensor] = []

    def told(_module: nn.Module, _args: object, out: object) -> object:
        outputs.extend(t for t in tensors_among(out) if t.requires_grad)
        return tree_map_only(Tensor, torch.clone, out) if untouched else None

    handles = [module.register_forward_hook(told) for module in tower.model.modules()]
    if not inputs.is_floating_point() and tower.blocks:
        handles.append(tower.blocks[0].module.register_forward_pre_hook(with_slopes))
    try:
        feature = end_of(tower, end, inputs)
    finally:
        for handle in handles:
            handle.remove()
    distinct = {id(t): t for t in outputs if t is not feature}
    yield from ((0, OUTPUT, t) for t in distinct.values())
    yield len(tower.blocks), end, feature


def with_slopes(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Embedded tokens by which gradients can be taken, as there are none by their ids."""
    return args[0].detach().requires_grad_(), *args[1:]


def end_of(tower: AnyTower, end: str, inputs: Tensor) -> Tensor:
    """The feature of some inputs, or what the model's own call gives on the way there."""
    if isinstance(tower, Tower) or end != OUTPUTS:
        return tower.features(inputs)
    with outputs_kept(tower) as outputs:
        tower.features(inputs)
    return outputs[0]


def _by_parts(tower: ChainTower, run: Run, end: str) -> Iterator[tuple[int, str, Tensor]]:
    """The states of those steps whose inside is known, and the feature, all in one graph."""
    inputs = run.inputs
    assert inputs is not None  # noqa: S101 - asked before
    if inputs.is_floating_point():
        inputs = inputs.to(run.precision.weights).clone().requires_grad_()
    x = tower.embed(inputs)
    x = x if x.requires_grad else x.detach().requires_grad_()
    pooled = tower.pooled_index(inputs)
    for block in tower.blocks:
        mask = tower.mask(x.shape[1])
        if isinstance(block, Block):
            states = list(_whole_states(block, x, mask, pooled))
            yield from ((block.index, site, state) for site, state in states)
            x = next(state for site, state in states if site == "output")
        else:
            x = block.run(x, mask)
        if block.index + 1 < len(tower.blocks):
            x = tower.passed_on(x, block.index, inputs)
    with outputs_kept(tower) as outputs:
        feature = tower.readout(x, inputs)
    yield len(tower.blocks), end, outputs[0] if end == OUTPUTS else feature


def _whole_states(
    block: Block, x: Tensor, mask: Tensor | None, pooled: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """States of a block that hold all tokens and heads."""
    for site, part, state in block_states(block, x, mask, pooled):
        if part == "all" and " of a head" not in site and not site.startswith("mean"):
            yield site, state


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
        states = list(_whole_states(block, x, mask, pooled))
        yield from ((block.index, site, state) for site, state in states)
        x = next(state for site, state in states if site == "output")
    final = list(final_states(tower, x, pooled))
    for site in ("final norm", "feature"):
        yield len(tower.blocks), site, next(state for name, _, state in final if name == site)
