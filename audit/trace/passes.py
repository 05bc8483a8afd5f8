"""Passes through the towers: what enters first layers and blocks, and the states that follow.

Values that the model itself gives to a block continue its run. Any others open a run that inherits
the deviation, and whose states are what the unmodified model makes of these values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from audit.models.structure import AnyTower, Structure
from audit.models.transformer_block import TowerName
from audit.models.unwrapped_values import plain
from audit.trace.alterations import Alterations
from audit.trace.fingerprint import fingerprint
from audit.trace.frames import Place
from audit.trace.given_runs import GivenRuns
from audit.trace.lineage import Anchor, Lineage, union
from audit.trace.lineages import Lineages
from audit.trace.observations import Entry, Run
from audit.trace.precision import Precision, Precisions
from audit.trace.reach import Reach
from audit.trace.rounding import Rounding
from audit.trace.run_states import RunStates
from audit.trace.runs import Runs
from audit.trace.samples import rounding_of_pixels, some_rows, thin
from audit.trace.shorter_texts import ShorterTexts, is_shorter, same_up_to_the_end
from audit.trace.state_index import StateIndex
from audit.trace.token_wise import each_token_alone, reads_out

_KEPT_INPUTS = 3


class Passes:
    """Runs of both towers and the index of their states.

    Args:
        structure: of a pristine copy.
        given: the pair's picture and, where there is a text tower, its token ids.
        targets: the pair's token ids or class id.
        lineages: of every tensor seen.
        precisions: those that the explainer computes in.
        rounding: how far it moves states.
        differentiable: whether the explainer computes with autograd on.
    """

    def __init__(
        self,
        structure: Structure,
        given: dict[TowerName, Tensor],
        targets: Tensor,
        lineages: Lineages[Any],
        precisions: Precisions,
        rounding: Rounding,
        differentiable: Callable[[], bool],
    ) -> None:
        self.structure = structure
        self.differentiable = differentiable
        self.given, self.targets = given, targets
        self.lineages = lineages
        self.precisions = precisions
        self.rounding = rounding
        self.runs = Runs()
        heads = frozenset[int]().union(*(tower.head_counts for tower in structure.towers))
        self.index = StateIndex(heads, self._of_cast)
        self.states = RunStates(given, targets, rounding, self.index)
        self.entries: list[Entry] = []
        self.alterations = Alterations()
        self.entered: list[Tensor] = []
        self._recast: dict[tuple[int, Precision], int] = {}
        self._shorter = ShorterTexts(self.runs, rounding)
        self._reach = Reach(structure, self.states.before_blocks)
        self.given_runs = GivenRuns(given, self.runs, self.states)
        for name in given:
            self.given_runs.run(name, precisions.given)
        self.classes = None if structure.text else self.given_runs.classes(precisions.given)

    def find(
        self,
        t: Tensor,
        towers: Collection[TowerName] = ("image", "text"),
        inside: Collection[tuple[TowerName, int]] | None = None,
    ) -> list[frozenset[Anchor]]:
        """States that a tensor equals: features, and what is inside of some towers.

        Args:
            t: values.
            towers: names.
            inside: blocks by tower and number, of which more is looked at than what enters and
                leaves them; None for all.
        """
        self.given_runs.complete(towers, inside)
        return self.index.find(t)

    def nearby(self, t: Tensor, lineage: Lineage) -> list[frozenset[Anchor]]:
        """States that a tensor equals, among those that lie next to what it is computed of."""
        towers = {a.tower for a in lineage.anchors if not a.terminal}
        towers |= {self.structure.tower_of(path) for path in lineage.params}
        return self.find(t, towers, self._reach.of(lineage))

    @property
    def feature_width(self) -> int:
        """Width of the features of both towers."""
        features = self.runs[0].features
        return -1 if features is None else int(features.shape[-1])

    def of_features(self, dtype: torch.dtype) -> float:
        """Relative error of a feature that rounding explains, in a dtype."""
        known = self.runs.precisions
        return max(
            max(self.rounding.of_features(p), self.rounding.of_cast(dtype, p)) for p in known
        )

    def _of_cast(self, dtype: torch.dtype) -> float:
        """What a cast adds to the tolerance of the precision that is met most coarsely."""
        return min(self.rounding.of_cast(dtype, p) for p in self.runs.precisions)

    # -- first layers -----------------------------------------------------------------------------

    def enter_tower(self, tower: AnyTower, inputs: Tensor, weight: Tensor, place: Place) -> None:
        """Pictures or token ids reach a first layer, in the form of a weight."""
        precision = self.precisions.now(weight)
        tower = precision.structure.tower(tower.name)
        with precision.entered():
            run = self._enter(tower, inputs, place, precision)
            if run is not None and not run.given:
                x = self.states.embedded(tower, run, plain(inputs))
                self._unmarked(tower, x, 0, run)

    def enter_whole(
        self, tower: AnyTower, inputs: Tensor, weight: Tensor, place: Place
    ) -> Run | None:
        """The same for a pass that is judged by what comes out of it."""
        precision = self.precisions.now(weight)
        return self._enter(precision.structure.tower(tower.name), inputs, place, precision)

    def _enter(
        self, tower: AnyTower, inputs: Tensor, place: Place, precision: Precision
    ) -> Run | None:
        given = self.given[tower.name]
        if inputs.is_floating_point() and not any(inputs is one for one in self.entered[-2:]):
            self.entered = [*self.entered[-_KEPT_INPUTS:], inputs]
        lineage = self.lineages.get(inputs)
        values = plain(inputs)
        values = values.unsqueeze(0) if values.ndim < given.ndim else values
        values = values.flatten(0, values.ndim - given.ndim)
        with precision.entered():
            run = self.given_runs.run(tower.name, precision)
        equal, difference = 0, float("inf")
        fits = values.shape[1:] == given.shape[1:]
        number = run.number
        if shorter := is_shorter(tower, values, given):
            equal = int(same_up_to_the_end(tower, values, given).sum())
            difference = float(not equal)
            run = self.runs.opened(tower, values, Lineage(), precision)
            number = number if equal == len(values) else run.number
        elif fits:
            distance = (values.double() - given.double()).abs().flatten(1).mean(1)
            equal = int((distance <= rounding_of_pixels(values)).sum())
            difference = float(distance.min())
            if len(values) > 1 or not equal:
                known = lineage if lineage.deviates else Lineage()
                run = self.runs.opened(tower, values, known, precision)
                number = run.number
                if inputs.requires_grad or self.differentiable():
                    self.runs.keep_inputs(run, values)
        shape, prints = tuple(values.shape), fingerprint(values.flatten(1).double())
        self.entries.append(
            Entry(tower.name, number, shape, equal, difference, prints, some_rows(values), place)
        )
        thin([e for e in self.entries if e.tower == tower.name])
        return run if fits or shorter else None

    # -- blocks and final norm --------------------------------------------------------------------

    def enter_block(
        self, tower: AnyTower, index: int, x: Tensor, weight: Tensor, place: Place
    ) -> None:
        """Values reach the first norm of a block, or the final norm, whose weight this is."""
        run = self.enter_plainly(tower, index, x, weight, place)
        if index not in run.blocks:
            self.all_states(run, index, x)

    def enter_plainly(
        self, tower: AnyTower, index: int, x: Tensor, weight: Tensor, place: Place
    ) -> Run:
        """The run that values at the entrance of a block belong to, whose states nobody needs."""
        precision = self.precisions.now(weight)
        fitting = [
            found for found in self.find(x, (tower.name,), ()) if self._fits(found, tower, index)
        ]
        if not fitting:
            lineage = self.lineages.get(x)
            cut = self._shorter.cut_off(tower, index, plain(x), lineage, precision)
            return cut or self._altered(tower, index, x, place, precision)
        numbers = sorted({self._at(precision, a.run) for a in fitting[0]})
        known = all(index in self.runs[n].blocks or self.runs[n].borders for n in numbers)
        if known and self._has_drifted(tower, index, x, precision):
            texts, roots = self.runs.tokens_of(numbers), self.runs.roots_of(numbers)
            inherits = union([self.lineages.get(x), *(self.runs[n].inherits for n in numbers)])
            run = self.runs.new(tower.name, inherits, texts, roots, precision)
            run.given = all(self.runs[n].given for n in numbers)
            return run
        return self.runs[numbers[0]] if known else self.runs.joined(tower.name, numbers)

    def _has_drifted(self, tower: AnyTower, index: int, x: Tensor, precision: Precision) -> bool:
        """Whether values are the model's but for the rounding of a coarse dtype.

        What follows is compared with what the model makes of these very values, so that rounding
        does not add up from block to block, and no tolerance has to allow for that.
        """
        tokens = self.states.batch_first(tower, x, index, precision)
        return (
            precision.is_coarse
            and tokens is not None
            and index < len(tower.blocks)
            and not self.states.rows.holds(tower.name, index, tokens)
        )

    def all_states(self, run: Run, index: int, x: Tensor) -> None:
        """Register what the model makes of values at the entrance of a block or the final norm."""
        if run.borders:
            self.given_runs.complete((run.tower,), {(run.tower, index)})
            return
        tower = run.precision.structure.tower(run.tower)
        values = self.states.batch_first(tower, x, index, run.precision)
        if values is not None:
            with run.precision.entered():
                if index == len(tower.blocks):
                    self.states.final(tower, values, run)
                    return
                output = self.states.block(tower, index, values, run)
                passed = self.states.passed_on(tower, output, index, run)
                if passed is not None:
                    self._unmarked(tower, passed, index + 1, run)

    def _unmarked(self, tower: AnyTower, x: Tensor, index: int, run: Run) -> None:
        """Go on through blocks that no weight of their own shows to be entered."""
        marked = {entrance.block for entrance in tower.entrances.values()}
        if index < len(tower.blocks) and index not in marked:
            self.all_states(run, index, x)

    def _at(self, precision: Precision, number: int) -> int:
        """The run that goes on from another in a precision of its own."""
        run = self.runs[number]
        if run.precision is precision:
            return number
        if run.given:
            return self.given_runs.run(run.tower, precision).number
        known = self._recast.get((number, precision))
        if known is None:
            tower = precision.structure.tower(run.tower)
            new = self.runs.new(tower.name, run.inherits, run.tokens, run.roots, precision)
            known = self._recast[number, precision] = new.number
        return known

    def _fits(self, found: frozenset[Anchor], tower: AnyTower, index: int) -> bool:
        """Whether these are the tokens that the model itself gives to this norm."""
        sites = {(a.tower, a.block, a.site) for a in found}
        expected = {(tower.name, index, "input"), (tower.name, index - 1, "output")}
        parts = {"all", "pooled"} if each_token_alone(tower, index) else {"all"}
        return sites <= expected and {a.part for a in found} <= parts

    def _altered(
        self, tower: AnyTower, index: int, x: Tensor, place: Place, precision: Precision
    ) -> Run:
        lineage = self.lineages.get(x)
        values = plain(x)
        final = index == len(tower.blocks)
        surrogate = reads_out(tower, index) and self._is_surrogate(x, lineage)
        tokens = None if final else self.states.batch_first(tower, x, index, precision)
        rows = values.reshape(len(values) if values.ndim > 2 or final else 1, -1)
        patched = tokens is not None and self.states.rows.compose(
            tower.name, index, tokens, self.rounding.tolerance(precision, "input")
        )
        mark = self.alterations.note(
            tower.name,
            index,
            rows,
            place,
            lineage=lineage,
            surrogate=surrogate,
            patched=patched,
            sample=some_rows(values),
        )
        numbers = sorted({a.run for a in lineage.anchors})
        inherits = union([Lineage().inherited(frozenset()), lineage, mark])
        texts = self.runs.tokens_of(numbers)
        return self.runs.new(tower.name, inherits, texts, self.runs.roots_of(numbers), precision)

    def _is_surrogate(self, x: Tensor, lineage: Lineage) -> bool:
        """A state of the model, or a mean over its tokens, that is not the one pooled here."""
        if lineage.params or lineage.events or lineage.alterations or lineage.foreign:
            return False
        sites = {(a.block, a.site) for a in lineage.anchors}
        return bool(self.find(x)) or (len(sites) == 1 and x.ndim == 2)
