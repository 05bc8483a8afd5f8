"""Records what an explainer executes on a model.

Values are compared at once with states of a pristine copy, so that nothing large is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from audit.models.structure import Structure
from audit.models.transformer_block import TowerName
from audit.models.unwrapped_values import beneath, plain
from audit.models.value_flow import tensors_among
from audit.trace.anchored import Anchored
from audit.trace.attention_events import OUTSIDE, AttentionEvents
from audit.trace.copied_parts import CopiedParts
from audit.trace.derivatives import Derivatives
from audit.trace.feature_span import is_strange
from audit.trace.frames import Frames, Place
from audit.trace.hook_lines import HookLines
from audit.trace.instrument import Instrument, Observer
from audit.trace.integrity import Integrity
from audit.trace.lineage import EMPTY, Anchor, Lineage, union
from audit.trace.lineages import Lineages
from audit.trace.memory import Memory, recalled
from audit.trace.model_changes import ModelChanges
from audit.trace.module_calls import ModuleCalls
from audit.trace.module_snapshot import BACKWARD_HOOKS, has_hooks
from audit.trace.operations import (
    CREATING,
    RESHAPING,
    Operation,
    results_of,
    writes_in_place,
)
from audit.trace.origins import Origins
from audit.trace.parameter_uses import ParameterUses
from audit.trace.parameter_values import ParameterValues
from audit.trace.passes import Passes
from audit.trace.plain_passes import PlainPass, PlainPasses
from audit.trace.precision import Precisions
from audit.trace.probe_scores import ProbeScores
from audit.trace.rounding import Rounding
from audit.trace.text_choice import narrowed


class Recorder(Observer):
    """An observer of the instrument that follows one explanation of one pair.

    Args:
        model: the model that the explainer receives.
        structure: of a deep copy that nobody else touches.
        integrity: a snapshot of ``model``.
        image: the pair's picture, (1, 3, H, W).
        targets: the pair's token ids, (1, context), or class id, (1,).
        rounding: the null control of the audit, by default measured on this pair.
        memory: what earlier calls of the explainer left behind.
    """

    def __init__(
        self,
        model: nn.Module,
        structure: Structure,
        integrity: Integrity,
        image: Tensor,
        targets: Tensor,
        rounding: Rounding | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.instrument = Instrument(image.device, self)
        integrity.own_hooks = self.instrument.hooks
        self.structure, self.targets, self.integrity = structure, targets, integrity
        pristine = structure.model
        self.frames = Frames(model)
        self.given: dict[TowerName, Tensor] = {"image": image}
        if structure.text is not None:
            self.given["text"] = targets
        self.lineages = Lineages(self._inside)
        precisions = Precisions(structure, self.instrument.autocast, integrity.as_before)
        with torch.no_grad():
            self.passes = Passes(
                structure,
                self.given,
                targets,
                self.lineages,
                precisions,
                rounding or Rounding(self.given),
                self.instrument.differentiable,
            )
        towers = frozenset({"", *(tower.path for tower in structure.towers)})
        self.watch = ModelChanges(integrity, pristine, self.frames, towers)
        self.modules = ModuleCalls(
            model, pristine, self.watch, self.lineages, structure.score_parameters
        )
        self.hook_lines = HookLines(self.frames, self.lineages.get)
        self.plain = PlainPasses(
            model, structure, self.passes, self.frames, self.watch, self.hook_lines
        )
        self.copied = CopiedParts(self.passes, self.frames)
        self.attending = AttentionEvents(self.passes, self.frames)
        self.probed = ProbeScores(self.passes, self.frames)
        self.derivatives = Derivatives(
            self.modules,
            self.passes,
            self.lineages,
            self.probed,
            self.frames,
            structure.logit_scale,
        )
        self.differentiating = self.derivatives
        self.origins = Origins(ParameterValues(integrity.originals), self.frames)
        for t, lineage in recalled(memory or Memory(), self.passes):
            self.origins.earlier[t] = lineage
        self.foreign: list[Place] = []
        self.parameters = ParameterUses(
            self.passes, self.lineages, self.watch, self.frames, self.hook_lines
        )
        self.exports: dict[str, Place] = {}
        self.anchored = Anchored(self.passes)

    # -- modules and processes --------------------------------------------------------------------

    def before_module(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to run."""
        rule = self.derivatives.module_runs()
        if rule:
            self.modules.before(module, args)
        elif not self.plain.within():
            path = self.modules.path_of(module)
            if path is not None:
                self.hook_lines.begins(module, args, whole=not path)
            self.modules.before(module, args)
            if (original := self.modules.copied.get(id(module))) is not None:
                self.copied.before(module, original, args)
            self.plain.begins(module, args)

    def after_module(self, module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        """A module has run."""
        del args
        self.modules.after(module, out)
        if self.derivatives.module_ends():
            return
        if self.modules.path_of(module) is not None and not self.plain.within():
            self.hook_lines.ends(module, out)
        if has_hooks(module, BACKWARD_HOOKS):
            self.derivatives.hooked_module_gave(module, out)
        if (other := self.copied.after(module, out)) is not None:
            self.lineages[other[0]] = union([self.lineages.get(other[0]), other[1]])
        found = self.plain.ends(module, out)
        if found is not None:
            result, anchors, blocks = found
            self.attending.calls += blocks
            self.lineages[result] = self.anchored.lineage(anchors)
            self.derivatives.output(result, anchors)

    def starts(self, event: str) -> None:
        """Another process is started."""
        self.origins.starts(event)

    def _inside(self, t: Tensor, where: PlainPass) -> Lineage:
        """The lineage of what the model itself computed within a plain pass."""
        run, index = where.run, where.part.index
        if index is not None and index not in run.blocks:
            self.passes.all_states(run, index, where.inputs)
        towers = (run.tower,) if run.given or index is not None else ()
        found = self.passes.find(t, towers, ()) if t.numel() > 1 else []
        anchor = Anchor(run.tower, index or 0, "inside", "all", run.number)
        return self.anchored.lineage(found[0] if found else frozenset({anchor}))

    # -- operations -------------------------------------------------------------------------------

    def inside(self) -> PlainPass | None:
        """The pass of the model in which nothing can come between."""
        return self.plain.within()

    def gave_inside(self, where: PlainPass, name: str, out: Any) -> None:
        """An operation has run in such a pass."""
        for t in results_of(name, out):
            self.origins.made(t)
            self.lineages.inside(t, where)

    def before_operation(self, operation: Operation) -> Lineage | None:
        """What the results inherit; None where nothing is to be noted."""
        name, tensors = operation.name, operation.tensors
        if name in CREATING or not tensors:
            return None
        if self.derivatives.in_engine():  # it unpacks what it has kept, and gives derivatives alone
            return EMPTY
        self._recognize(tensors)
        self.hook_lines.next(tensors)
        inherited = union(self.lineages.get(t) for t in tensors)
        if not (self.derivatives.taking() or self.derivatives.any_tangent(tensors)):
            self.parameters.before(name, tensors)
        return inherited

    def after_operation(self, note: Lineage | None, operation: Operation, out: Any) -> None:
        """Note the lineage of each result."""
        if not self.derivatives.taking():
            self.derivatives.gradients.follow(operation, list(tensors_among(out)))
        for t in results_of(operation.name, out):
            self.origins.made(t)
            if (
                note is not None
                and not t.is_meta
                and not self.derivatives.is_tangent(t, operation.tensors)
            ):
                self._resulted(operation, t, note)

    def _resulted(self, operation: Operation, t: Tensor, inherited: Lineage) -> None:
        source = operation.tensors[0]
        if self.derivatives.in_engine():
            self.lineages[t] = Lineage(scalars=self.derivatives.taking())
        elif isinstance(t, nn.Parameter):  # weights are loaded into a fork of the model
            self.parameters.loaded(t, self.origins.parameters.path_of(t))
        elif operation.name in RESHAPING and t.dtype == source.dtype:
            if source in self.lineages:
                self.lineages[t] = self.lineages.get(source)
        else:
            self._set(operation, t, inherited)
        if writes_in_place(operation.name):
            self._written(t, inherited)

    def _recognize(self, tensors: list[Tensor]) -> None:
        """Tensors that no recorded operation made: each is looked at once."""
        for t in tensors:
            if t in self.lineages or self.origins.is_made(t) or t.is_meta:
                continue
            self.origins.made(t)
            lineage = self._from_outside(t)
            if lineage is not EMPTY:
                self.lineages[t] = lineage

    def _from_outside(self, t: Tensor) -> Lineage:
        if not t.is_floating_point():  # ids, masks and places hold no state
            return EMPTY
        if path := self.origins.parameters.path_of(t):
            return Lineage(params=frozenset({path}))
        if any(t.shape == g.shape and torch.equal(plain(t), g) for g in self.given.values()):
            return EMPTY
        if t.numel() > 1 and (found := self.passes.find(t)):
            return self.anchored.lineage(found[0])
        lineage = self.origins.of(t)
        from_outside = Operation(None, OUTSIDE, (t,), {}, [t])
        return self.attending.other(from_outside, t, lineage)

    def leaves(self, t: Tensor) -> None:
        """Values go to numpy or plain Python, where nobody follows them."""
        lineage = self.lineages.get(beneath(t))
        if lineage.anchors or lineage.scalars or lineage.scores:
            self.origins.leaves(plain(t), lineage)
        elif lineage.params:
            self.watch.suspect()
            place, own = self.frames.caller()
            self.exports.update((path, place) for path in lineage.params if own)

    def _written(self, t: Tensor, inherited: Lineage) -> None:
        """What is written into a view is in its base as well."""
        self.watch.written(t)
        base = t._base  # noqa: SLF001
        if base is not None:
            self.lineages[base] = union([self.lineages.get(base), inherited])

    def _set(self, operation: Operation, t: Tensor, inherited: Lineage) -> None:
        found = self._found(t, inherited)
        if found:
            lineage = self.anchored.still_deviating(self.anchored.lineage(found[0]), inherited)
            self.attending.same(operation.name)
            self.derivatives.output(t, found[0])
        elif self.derivatives.only_derivative():
            lineage = Lineage(scalars=self.derivatives.taking())
        else:
            lineage = self.attending.other(operation, t, inherited)
            if is_strange(operation.name, t, operation.tensors, inherited, self.passes):
                lineage = self._with_stranger(lineage)
            self.probed.note(operation.tensors, lineage)
            lineage = self.probed.cut(t, operation.tensors, lineage)
        if lineage is not EMPTY:
            self.lineages[t] = narrowed(t, lineage, self.passes, self.derivatives.scale)

    def _found(self, t: Tensor, inherited: Lineage) -> list[frozenset[Anchor]]:
        """States that a result equals, among those that its operands lead to."""
        if not inherited.anchors and not inherited.params:
            return []
        return self.passes.nearby(t, inherited)

    def _with_stranger(self, lineage: Lineage) -> Lineage:
        place, _ = self.frames.caller()
        if lineage.outside:
            why = "they were made before this explanation, or outside of torch"
            return union([lineage, self.origins.not_known(place, why, mixed=True)])
        self.foreign.append(place)
        return union([lineage, Lineage(foreign=frozenset({len(self.foreign) - 1}))])
