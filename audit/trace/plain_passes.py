"""Passes through a tower or a block in which nothing can come between.

Where a module of the model runs with no hook in it and everything as it was, what goes in and what
comes out say all: the pass is the model's if the untouched module gives the same. The operations
within need no look, until somebody asks for a tensor from inside. Of many passes through a whole
tower a sample is replayed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from audit.models.module_state import MakeUp
from audit.models.structure import AnyTower, Structure
from audit.models.tower import Tower
from audit.models.unwrapped_values import beneath, plain
from audit.models.value_flow import tensors_among
from audit.trace.frames import Frames, Place, call_keywords
from audit.trace.hook_lines import HookLines
from audit.trace.lineage import TERMINAL_SITES, Anchor, Lineage, union
from audit.trace.model_changes import ModelChanges
from audit.trace.module_snapshot import PASSING_HOOKS, has_hooks
from audit.trace.observations import Run
from audit.trace.passes import Passes
from audit.trace.run_states import in_dtype

REPLAYED = 16  # all of so many passes; of more, each with a chance that falls with their number


@dataclass
class _Part:
    """A tower that is a module of its own, or a block."""

    tower: AnyTower
    index: int | None
    path: str
    module: nn.Module
    passes: int = 0

    def takes_input(self, *, alone: bool) -> bool:
        """Whether pixels or token ids enter here, where no operation that is seen tells of it.

        Args:
            alone: whether no operation within is seen.
        """
        weights = self.tower.entry_weights
        if self.index is None:
            return not alone and not weights
        return alone and any(path.startswith(f"{self.path}.") for path in weights)

    @property
    def follows(self) -> int:
        """The block that what comes out goes into; the number of blocks at the end."""
        return len(self.tower.blocks) if self.index is None else self.index + 1


@dataclass
class PlainPass:
    """A plain pass: of which part, in which run, and what went in."""

    part: _Part
    run: Run
    inputs: Tensor


class _Thread(threading.local):
    """The plain pass that a thread is in."""

    now: PlainPass | None = None


class PlainPasses:
    """Finds plain passes and judges them by what comes out.

    Args:
        model: the model that the explainer receives.
        structure: of the pristine copy.
        passes: where runs are kept.
        frames: finds the explainer's line.
        watch: of the model's weights and structure.
        hook_lines: finds the line of a hook.
    """

    def __init__(
        self,
        model: nn.Module,
        structure: Structure,
        passes: Passes,
        frames: Frames,
        watch: ModelChanges,
        hook_lines: HookLines,
    ) -> None:
        self._passes = passes
        self._frames = frames
        self._watch = watch
        self._hook_lines = hook_lines
        self._make_up = MakeUp(model)
        self._thread = _Thread()
        self._draws = random.Random(0)  # noqa: S311 - which passes are replayed is no secret
        self._parts = {id(part.module): part for part in _parts(model, structure)}

    def within(self) -> PlainPass | None:
        """The plain pass that this thread is in."""
        return self._thread.now

    def begins(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to run: is it a tower or a block that runs as the model's own?"""
        part = self._parts.get(id(module))
        if part is None or part.module is not module:
            return
        place, own = self._frames.caller()
        place = self._hook_lines.behind(place, own=own)
        weight = next(p for p in module.parameters() if p.is_floating_point())
        usual = self._is_usual(part, args)
        if part.takes_input(alone=usual) and args and isinstance(args[0], Tensor):
            self._passes.enter_tower(part.tower, args[0], weight, place)
        if not usual:
            return
        run: Run | None
        if part.index is None:
            run = self._passes.enter_whole(part.tower, args[0], weight, place)
        else:
            run = self._passes.enter_plainly(part.tower, part.index, args[0], weight, place)
        if run is not None:
            self._thread.now = PlainPass(part, run, plain(args[0]))

    def ends(self, module: nn.Module, out: Any) -> tuple[Tensor, frozenset[Anchor], int] | None:
        """A module has run.

        Returns:
            What comes out, the state that it is, and how many blocks it went through, if a plain
            pass has ended as the model's does.
        """
        now = self._thread.now
        if now is None or now.part.module is not module:
            return None
        self._thread.now = None
        result = next(tensors_among(out), None)
        if result is None:
            return None
        result = beneath(result)
        part = now.part
        if part.index is not None:
            self._leave_plainly(now.run, part.index, now.inputs)
        else:
            part.passes += 1
            drawn = self._draws.random() * part.passes < REPLAYED
            self._leave_whole(now.run, now.inputs, None if drawn else plain(result))
        towers = () if part.index is None else (part.tower.name,)
        for found in self._passes.find(result, towers, ()):
            if all(self._comes_out(part, anchor) for anchor in found):
                return result, found, len(part.tower.blocks) if part.index is None else 1
        place, _ = self._frames.caller()
        self._leaves_otherwise(part.tower, part.follows, result, now.run, place)
        return None

    def _leave_whole(self, run: Run, inputs: Tensor, feature: Tensor | None = None) -> None:
        """Features come out of such a pass: those of the untouched tower, or the ones given."""
        if run.given:
            return
        tower = run.precision.structure.tower(run.tower)
        with run.precision.entered():
            if feature is None:
                shape = self._passes.given[tower.name].shape[1:]
                whole = in_dtype(inputs.reshape(-1, *shape), run.precision)
                feature = tower.features(whole)
            run.features = feature
            unit = torch.nn.functional.normalize(feature, dim=-1)
            both = (("feature", feature), ("unit feature", unit))
            for site, state in both if run.precision.structure.text else both[:1]:
                self._passes.states.register(run, len(tower.blocks), site, "pooled", state)

    def _leaves_otherwise(
        self, tower: AnyTower, index: int, values: Tensor, run: Run, place: Place
    ) -> None:
        """What comes out of a part, and goes on into a block or out of the tower, is another."""
        rows = plain(values).reshape(len(values), -1)
        anchors = frozenset({Anchor(tower.name, max(index - 1, 0), "input", "all", run.number)})
        before = Lineage(anchors)
        mark = self._passes.alterations.note(tower.name, index, rows, place, lineage=before)
        self._passes.lineages[values] = union([before, mark])

    def _leave_plainly(self, run: Run, index: int, x: Tensor) -> None:
        """Register what the model gives at the end of a block."""
        tower = run.precision.structure.tower(run.tower)
        states = self._passes.states
        values = states.batch_first(tower, x, index, run.precision)
        if index in run.blocks or run.borders or values is None:
            return
        with run.precision.entered():
            output = tower.blocks[index].run(values, tower.mask(values.shape[1]))
            states.border(tower, run, index, "output", output)
            states.passed_on(tower, output, index, run)

    def _comes_out(self, part: _Part, anchor: Anchor) -> bool:
        if part.index is None:
            return anchor.terminal
        sites = {"output", "input", *TERMINAL_SITES}
        return anchor.site in sites and anchor.block in {part.index, part.follows}

    def _is_usual(self, part: _Part, args: tuple[Any, ...]) -> bool:
        """Whether a call is as the model itself makes it, of a module that is as it was."""
        return (
            bool(args)
            and isinstance(args[0], Tensor)
            and _is_called_as_usual(part, args, call_keywords())
            and _is_quiet(part.module)
            and not self._make_up.differs(part.module)
            and not self._watch.integrity.is_patched()
            and self._watch.is_intact(part.path)
        )


def _parts(model: nn.Module, structure: Structure) -> Iterator[_Part]:
    for tower in structure.towers:
        for block in tower.blocks:
            yield _Part(tower, block.index, block.path, model.get_submodule(block.path))
        if tower.whole is not None:
            yield _Part(tower, None, tower.whole, model.get_submodule(tower.whole))


def _is_called_as_usual(part: _Part, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    """Whether a call hands on, besides the values, what the model itself does."""
    others = args[1:]
    if part.index is None:
        return _same_arguments((others, keywords), ((), {}))
    if not isinstance(part.tower, Tower):
        step = part.tower.steps[part.index]
        return _same_arguments((others, keywords), (step.args, step.keywords))
    mask = part.tower.mask(args[0].shape[1]) if args[0].ndim == 3 else None
    return all(other is None for other in others) and _is_masked_by(keywords, mask)


def _same_arguments(given: Any, usual: Any) -> bool:
    """Whether arguments are the same, tensors to the last digit; None does not count."""
    one, other = ([x for x in tree_leaves(every) if x is not None] for every in (given, usual))
    return len(one) == len(other) and all(map(_same, one, other))


def _same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and bool((plain(one) == other).all())
    return type(one) is type(other) and bool(one == other)


def _is_masked_by(keywords: dict[str, Any], mask: Tensor | None) -> bool:
    """Whether a call hands on the mask that the model uses, and nothing else."""
    given = {name: value for name, value in keywords.items() if value is not None}
    found = given.pop("attn_mask", None)
    if given or (found is None) is not (mask is None):
        return False
    return mask is None or (found.shape == mask.shape and bool((found == mask).all()))


def _is_quiet(module: nn.Module) -> bool:
    """Whether no hook is anywhere in a module."""
    return not any(has_hooks(one, PASSING_HOOKS) for one in module.modules())
