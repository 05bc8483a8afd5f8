"""States of the untouched model in one graph with its output, to take gradients by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.tower_chain import ChainTower
from audit.models.value_flow import tensors_among
from audit.trace.observations import Run
from audit.trace.states import attention_parts, block_states, final_states, token_parts

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


def _module_outputs(tower: ChainTower, run: Run) -> Iterator[tuple[int, str, Tensor]]:
    """Pixels, what each module gives, and the feature, all in one graph."""
    assert run.inputs is not None  # noqa: S101 - asked before
    inputs = run.inputs
    if inputs.is_floating_point():
        inputs = inputs.to(run.precision.weights).clone().requires_grad_()
        yield 0, PIXELS, inputs
    outputs: list[Tensor] = []

    def told(_module: nn.Module, _args: object, out: object) -> None:
        outputs.extend(t for t in tensors_among(out) if t.requires_grad)

    handles = [module.register_forward_hook(told) for module in tower.model.modules()]
    if not inputs.is_floating_point() and tower.blocks:
        handles.append(tower.blocks[0].module.register_forward_pre_hook(_with_slopes))
    try:
        feature = tower.features(inputs)
    finally:
        for handle in handles:
            handle.remove()
    distinct = {id(t): t for t in outputs if t is not feature}
    yield from ((0, OUTPUT, t) for t in distinct.values())
    yield len(tower.blocks), "feature", feature


def _with_slopes(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Embedded tokens by which gradients can be taken, as there are none by their ids."""
    return args[0].detach().requires_grad_(), *args[1:]


def differentiable_states(tower: AnyTower, run: Run) -> Iterator[tuple[int, str, Tensor]]:
    """A run of a tower by its parts, from its input to its feature, every state in one graph."""
    if not isinstance(tower, Tower):
        yield from _module_outputs(tower, run)
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
        output = x
        for site, part, state in block_states(block, x, mask, pooled):
            if part == "all" and " of a head" not in site and not site.startswith("mean"):
                yield block.index, site, state
            if (site, part) == ("output", "all"):
                output = state
        x = output
    final = list(final_states(tower, x, pooled))
    for site in ("final norm", "feature"):
        yield len(tower.blocks), site, next(state for name, _, state in final if name == site)
