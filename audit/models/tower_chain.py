"""A tower of any library, seen as the steps of its forward pass from cut to cut.

What lies between two steps, such as a pooling that is no module, is computed by the module itself:
every step before is told to give what it gave once, which decides nothing behind a cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.models.block_check import KNOWN, checked
from audit.models.block_table import block_view, call_of, why_not
from audit.models.pooling_steps import PoolingSteps, pooling_steps
from audit.models.stage import Stage
from audit.models.substitution import gives, what_enters
from audit.models.tower import Entrance
from audit.models.transformer_block import Block, TowerName
from audit.models.value_flow import Step, flow_of

Forward = Callable[[nn.Module, Tensor], Tensor]
"""What a tower computes: its feature, given the whole model and pictures or token ids."""


@dataclass(frozen=True)
class ChainTower:
    """A tower as its steps.

    Attributes:
        name: ``image`` or ``text``.
        model: the whole module.
        forward: from the model and an input to the feature.
        whole: dotted name of the module whose call is the tower, empty for the whole model, None
            where it is none.
        blocks: its steps in order.
        steps: how they are called.
        given: an input that is like every other, (1, 3, H, W) or (1, t).
        entry_weights: dotted names of the parameters that meet the input, and the operation.
        entrances: by the weight that it meets, which step a value enters.
        weights: dotted names of its parameters.
        attention_mask: what blocks are called with, (..., t, t), or None.
        pooling: of the tokens by attention, None where there is none that is known.
        normalizes: whether ``forward`` gives the last step's result at unit length.
        outputs: whether ``forward`` makes its feature of what the model itself gives.
    """

    name: TowerName
    model: nn.Module
    forward: Forward
    whole: str | None
    blocks: tuple[Block | Stage, ...]
    steps: tuple[Step, ...]
    given: Tensor
    entry_weights: Mapping[str, str]
    entrances: Mapping[str, Entrance] = field(default_factory=dict)
    weights: frozenset[str] = frozenset()
    normalizes: bool = False
    attention_mask: Tensor | None = None
    outputs: bool = False
    pooling: PoolingSteps | None = None

    @property
    def path(self) -> str:
        """Dotted name of the module that holds the tower, empty for the whole model."""
        return self.whole or ""

    @property
    def weight(self) -> Tensor:
        """One that tells what the tower computes in, and where."""
        own = (p for path, p in self.model.named_parameters() if self.holds(path))
        every = itertools.chain(own, self.model.parameters())
        return next(p for p in every if p.is_floating_point())

    def holds(self, path: str) -> bool:
        """Whether a parameter, by its dotted name, is one of the tower's."""
        return path in self.weights

    def on(self, model: nn.Module) -> ChainTower:
        """The same tower of a copy of the model."""
        blocks = tuple(replace(b, module=model.get_submodule(b.path)) for b in self.blocks)
        pooling = self.pooling and replace(self.pooling, view=self.pooling.view.on(model))
        return replace(self, model=model, blocks=blocks, pooling=pooling)

    @property
    def head_counts(self) -> frozenset[int]:
        """How many heads the attention that is known has, of each block and pooling."""
        return frozenset(self.heads_of(i) for i in range(len(self.blocks))) - {0}

    def heads_of(self, index: int) -> int:
        """Heads of a block, or of the pooling that a step begins; 0 where they are not known."""
        if self.pooling is not None and index == self.pooling.first:
            return self.pooling.view.block.heads
        block = self.blocks[index]
        return block.heads if isinstance(block, Block) else 0

    def attends(self, index: int) -> bool:
        """Whether a step is a block, or begins a pooling, of which the attention is known."""
        return index < len(self.blocks) and self.heads_of(index) > 0

    def words(self, index: int) -> str:
        """A step in words; the number of steps stands for the end of the tower."""
        if self.pooling is not None and self.pooling.first <= index < self.pooling.stop:
            return f"'{self.pooling.view.path}'"
        return f"'{self.blocks[index].path}'" if index < len(self.blocks) else "the tower's end"

    def mask(self, length: int) -> Float[Tensor, "*of t t"] | None:
        """The attention mask that the model calls its blocks with, or None."""
        mask = self.attention_mask
        return None if mask is None else mask[..., :length, :length]

    def pooled_index(self, inputs: Tensor) -> Int[Tensor, " b"]:
        """Index of the token that stands for all where one does: the first, or the last id's."""
        if self.name == "image":
            return torch.zeros(len(inputs), dtype=torch.long, device=inputs.device)
        return inputs.argmax(dim=-1)

    def features(self, inputs: Tensor) -> Float[Tensor, "b e"]:
        """What comes out of the tower (not normalized)."""
        if not self.normalizes:
            return self.forward(self.model, inputs)
        return self.run(self.embed(inputs), 0, len(self.blocks), inputs)

    def embed(self, inputs: Tensor) -> Tensor:
        """What enters the first step; the input itself where there is no step."""
        return self._between(-1, None, inputs, 0) if self.blocks else inputs

    def run(self, x: Tensor, start: int, stop: int, inputs: Tensor | None = None) -> Tensor:
        """Steps ``start`` to ``stop - 1`` as the model runs them.

        Args:
            x: what enters the first of them.
            start: number of the first step.
            stop: what enters this step is given; at the end, what the last step gives.
            inputs: what entered the tower.
        """
        for block in self.blocks[start:stop]:
            x = block.run(x, self.mask(x.shape[1]))
            if block.index + 1 < len(self.blocks):
                x = self.passed_on(x, block.index, inputs)
        return x

    def passed_on(
        self,
        x: Tensor,
        index: int,
        inputs: Tensor | None = None,
        begins: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """What enters the next step, given what a step gave.

        Args:
            x: what the step gave.
            index: its number.
            inputs: what entered the tower.
            begins: called when what follows the step begins.
        """
        if self.steps[index].goes_on:
            return x
        return self._between(index, x, inputs, index + 1, begins)

    def readout(
        self,
        x: Tensor,
        inputs: Tensor | None = None,
        begins: Callable[[], None] = lambda: None,
    ) -> Float[Tensor, "b e"]:
        """The feature (not normalized), given what the last step gave; see `passed_on`."""
        last = len(self.blocks) - 1
        if last < 0:
            begins()
            return self.forward(self.model, x)
        if self.normalizes or self.steps[last].goes_on:
            return x
        return self._between(last, x, inputs, None, begins)

    def _between(
        self,
        done: int,
        x: Tensor | None,
        inputs: Tensor | None,
        to: int | None,
        begins: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Let the model itself compute what lies between two steps.

        Args:
            done: number of the step that gave ``x``; -1 at the beginning.
            x: what it gave.
            inputs: what entered the tower; anything does behind a cut.
            to: the step whose input is asked for, None for the feature.
            begins: called when what follows ``x`` begins.
        """
        rows = len(x) if x is not None else len(inputs) if inputs is not None else 1
        if inputs is None or len(inputs) != rows:
            inputs = self.given.expand(rows, *self.given.shape[1:])
        weight = self.weight
        inputs = inputs.to(weight) if inputs.is_floating_point() else inputs.to(weight.device)
        with ExitStack() as stack:
            for block in self.blocks[: done + 1]:
                gave = x if block.index == done else self.steps[block.index].output
                assert gave is not None  # noqa: S101 - a step has given something
                last = block.index == done
                like = gave if last else weight
                told = begins if last else lambda: None
                form = self.steps[block.index].form
                stack.enter_context(gives(block.module, gave, rows, like, told, form))
            if to is None:
                return self.forward(self.model, inputs)
            return what_enters(self.blocks[to].module, lambda: self.forward(self.model, inputs))


@torch.no_grad()
def chain_tower(
    name: TowerName,
    model: nn.Module,
    forward: Forward,
    given: Tensor,
) -> ChainTower:
    """A tower of any library.

    Args:
        name: ``image`` or ``text``.
        model: the whole module, in eval mode.
        forward: from the model and an input to the feature.
        given: an input, (1, 3, H, W) or (1, t).
    """
    flow = flow_of(model, lambda inputs: forward(model, inputs), given)
    blocks = tuple(
        Stage(name, index, step.path, model.get_submodule(step.path), step)
        for index, step in enumerate(flow.steps)
    )
    entrances = {
        path: Entrance(index, operation)
        for index, step in enumerate(flow.steps)
        for path, operation in step.entrances.items()
    }
    tower = ChainTower(
        name=name,
        model=model,
        forward=forward,
        whole=flow.whole,
        blocks=blocks,
        steps=flow.steps,
        given=given,
        entry_weights=flow.entry_weights,
        entrances=entrances,
        weights=flow.weights,
        normalizes=_normalizes(forward(model, given), flow.steps),
        outputs=flow.outputs,
    )
    return _with_known_blocks(tower, given)


def _with_known_blocks(tower: ChainTower, given: Tensor) -> ChainTower:
    """The tower with a view of the inside of each block that is what the table says."""
    found: list[Block | Stage] = []
    masks: list[Tensor] = []
    pooling: PoolingSteps | None = None
    paths = [stage.path for stage in tower.blocks]
    x = tower.embed(given)
    for stage in tower.blocks:
        assert isinstance(stage, Stage)  # noqa: S101 - just built so
        call = None
        if why_not(stage.module) is None:
            call = call_of(stage.module, (x, *stage.step.args), stage.step.keywords)
        view = call and block_view(stage.module, tower.name, stage.index, stage.path, call.extra)
        if call and view and checked(view, call.x, call.mask) <= KNOWN:
            found.append(view)
            masks += [call.mask] if call.mask is not None else []
        else:
            found.append(stage)
            pooling = pooling or pooling_steps(tower.model, paths, stage.index, x)
        x = stage.run(x)
        if stage.index + 1 < len(tower.blocks):
            x = tower.passed_on(x, stage.index, given)
    mask = masks[0] if masks else None
    return replace(tower, blocks=tuple(found), attention_mask=mask, pooling=pooling)


def _normalizes(feature: Tensor, steps: tuple[Step, ...]) -> bool:
    """Whether a feature is what the last step gave, at unit length and no other."""
    if not steps or steps[-1].goes_on or steps[-1].output.shape != feature.shape:
        return False
    return torch.allclose(functional.normalize(steps[-1].output, dim=-1), feature, atol=1e-6)
