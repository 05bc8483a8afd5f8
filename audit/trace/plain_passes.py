"""Passes through a tower or a block in which nothing can come between.

Where a module of the model runs with no hook in it and everything as it was, what goes in and what
comes out say all: the pass is the model's if the untouched module gives the same. The operations
within need no look, until somebody asks for a tensor from inside. Hooks around a block alone leave
its inside plain: of many such passes the first are looked at as any other, the later ones from
where the values that the hooks left enter. Of many plain passes a sample is replayed.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from audit.models.module_state import MakeUp
from audit.models.structure import AnyTower, Structure
from audit.models.unwrapped_values import beneath, plain
from audit.models.value_flow import tensors_among
from audit.trace.frames import Frames, Place, call_keywords
from audit.trace.hook_lines import HookLines
from audit.trace.lineage import TERMINAL_SITES, Anchor, Lineage, union
from audit.trace.model_changes import ModelChanges
from audit.trace.module_snapshot import BACKWARD_HOOKS, PASSING_HOOKS, has_hooks
from audit.trace.observations import Run
from audit.trace.passes import Passes
from audit.trace.plain_parts import Part, is_called_as_usual, is_quiet_within, parts_of
from audit.trace.run_states import in_dtype

REPLAYED = 16  # all of so many passes; of more, each with a chance that falls with their number
_AROUND = frozenset((  # what hooks around a module are kept in
    "_forward_hooks", "_forward_hooks_always_called", "_forward_hooks_with_kwargs",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs",
))  # fmt: skip


@dataclass
class PlainPass:
    """A plain pass: of which part, in which run, and what went in."""

    part: Part
    run: Run
    inputs: Tensor


class _Thread(threading.local):
    """The plain pass that a thread is in, and the part that it is in with hooks around it."""

    now: PlainPass | None = None
    hooked: Part | None = None


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
        self._parts = {id(part.module): part for part in parts_of(model, structure)}

    def within(self) -> PlainPass | None:
        """The plain pass that this thread is in."""
        return self._thread.now

    def begins(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to run: is it a tower or a block that runs as the model's own?"""
        hooked = self._thread.hooked
        if hooked is not None and id(module) in hooked.entrances and args:
            self._thread.hooked = None
            self._hook_lines.next(list(tensors_among(args)))
            self._starts(hooked, args[0])
            return
        part = self._parts.get(id(module))
        if part is None or part.module is not module:
            return
        hooked_now = has_hooks(part.module, PASSING_HOOKS)
        as_usual = self._is_usual(part, args, hooked=hooked_now)
        usual = as_usual and not hooked_now
        if part.takes_input(alone=usual) and args and isinstance(args[0], Tensor):
            self._passes.enter_tower(part.tower, args[0], _weight(part), self._place())
        if usual:
            self._starts(part, args[0])
        elif as_usual:
            part.hooked += 1
            self._thread.hooked = part if part.hooked > REPLAYED else None

    def _place(self) -> Place:
        """The explainer's line, or that of the hook which left what enters here."""
        place, own = self._frames.caller()
        return self._hook_lines.behind(place, own=own)

    def _starts(self, part: Part, x: Any) -> None:
        """A plain pass begins with these values."""
        if not isinstance(x, Tensor):
            return
        run: Run | None
        weight, place = _weight(part), self._place()
        if part.index is None:
            run = self._passes.enter_whole(part.tower, x, weight, place)
        else:
            run = self._passes.enter_plainly(part.tower, part.index, x, weight, place)
        if run is not None:
            self._thread.now = PlainPass(part, run, plain(x))

    def ends(self, module: nn.Module, out: Any) -> tuple[Tensor, frozenset[Anchor], int] | None:
        """A module has run.

        Returns:
            What comes out, the state that it is, and how many blocks it went through, if a plain
            pass has ended as the model's does.
        """
        now, hooked = self._thread.now, self._thread.hooked
        if hooked is not None and hooked.module is module:
            self._thread.hooked = None
        if now is None or now.part.module is not module:
            return None
        self._thread.now = None
        result = next(tensors_among(out), None)
        if result is None:
            return None
        result = beneath(result)
        part = now.part
        part.passes += 1
        drawn = self._draws.random() * part.passes < REPLAYED
        gave = None if drawn else plain(result)
        if part.index is not None:
            self._leave_plainly(now.run, part.index, now.inputs, gave)
        else:
            self._leave_whole(now.run, now.inputs, gave)
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
                shape = inputs.shape[1 - self._passes.given[tower.name].ndim :]
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

    def _leave_plainly(self, run: Run, index: int, x: Tensor, gave: Tensor | None = None) -> None:
        """Register what the model gives at the end of a block: its own, or what is given."""
        tower = run.precision.structure.tower(run.tower)
        states = self._passes.states
        values = states.batch_first(tower, x, index, run.precision)
        if index in run.blocks or run.borders or values is None:
            return
        with run.precision.entered():
            output = None
            if gave is not None and gave.shape == x.shape:
                output = states.batch_first(tower, gave, index, run.precision)
            if output is None:
                output = tower.blocks[index].run(values, tower.mask(values.shape[1]))
            states.border(tower, run, index, "output", output)
            states.passed_on(tower, output, index, run)

    def _comes_out(self, part: Part, anchor: Anchor) -> bool:
        if part.index is None:
            return anchor.terminal
        sites = {"output", "input", *TERMINAL_SITES}
        return anchor.site in sites and anchor.block in {part.index, part.follows}

    def _is_usual(self, part: Part, args: tuple[Any, ...], *, hooked: bool) -> bool:
        """Whether a call is as the model itself makes it, of a module that is as it was.

        Args:
            part: whose module is called.
            args: positional ones.
            hooked: whether there are hooks around it, which are no difference then.
        """
        if hooked and not part.entrances:
            return False
        return (
            bool(args)
            and isinstance(args[0], Tensor)
            and is_called_as_usual(part, args, call_keywords())
            and not has_hooks(part.module, BACKWARD_HOOKS)
            and is_quiet_within(part.module)
            and not self._make_up.differs(part.module, _AROUND if hooked else frozenset())
            and not self._watch.integrity.is_patched()
            and self._watch.is_intact(part.path)
        )


def _weight(part: Part) -> Tensor:
    return next(p for p in part.module.parameters() if p.is_floating_point())
