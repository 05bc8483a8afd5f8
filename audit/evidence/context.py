"""What every gatherer works with: the model and its untouched copy, pairs, explainers, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from audit.data.pairs import Pairs
from audit.evidence.kinds import Roles, RungInfo
from audit.evidence.tasks import Tasks
from audit.explainers.contract import Explainer, Explanation, run_explainer
from audit.interventions.degrading import Family
from audit.interventions.model_parts import ModelParts, parts_of
from audit.metrics.quality_choice import families_of, usual_measures
from audit.metrics.quality_table import QualityMeasure
from audit.models.companion_models import CompanionModel
from audit.models.ladder_checkpoints import Checkpoint
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy
from audit.models.structure import Structure, structure_of
from audit.models.transformer_block import TowerName
from audit.trace.integrity import Integrity
from audit.trace.memory import Memory
from audit.trace.records import ChangeRecord
from audit.trace.rounding import Rounding

_ACTIVATIONS = {"cpu": 3e6}  # numbers of a block's widest activations in a batch
_DEVICE = 3e7
_BATCH_IF_UNKNOWN = 16
_LARGEST_BATCH = 256
Progress = Callable[[str, int, int], None]
"""Told the phase, the steps done, and the steps in all."""


@dataclass(frozen=True)
class Sizes:
    """How much evidence is gathered.

    Attributes:
        traced: pairs whose explanation is traced.
        probed: pairs whose faithfulness is measured on every rung.
        rungs: of the ladder that are enough; more draws of each are made where there are fewer.
        ladder_seeds: draws of each rung, at most.
        graded: families of rungs that have strengths; random blocks are on every ladder.
        executed_pictures: that answers of what the explainer executes are asked of, at least.
        executed_candidates: at most so many classes are asked of each picture.
        reparametrized: pairs that are explained on every edited model.
        randomized: pairs that are explained on every randomized model.
        randomizations: draws of the randomized models.
        affected: pairs whose patch effects are measured.
        repeated: pairs that are explained in other company.
        chosen_per_pair: pairs chosen by their margin, for each pair of the audit.
        classes_per_pair: classes of which a few maps are drawn, for each pair of the audit.
    """

    traced: int = 4
    probed: int = 16
    rungs: int = 14
    ladder_seeds: int = 2
    graded: tuple[Family, ...] = ("weight-noise",)
    executed_pictures: int = 200
    executed_candidates: int = 40
    reparametrized: int = 16
    randomized: int = 16
    randomizations: int = 2
    affected: int = 48
    repeated: int = 6
    chosen_per_pair: float = 4.0
    classes_per_pair: float = 0.75


@dataclass(frozen=True)
class ManyPairs:
    """More pairs of the data, for performance alone.

    Attributes:
        count: at most so many, those of the audit among them.
        load: gives them; called again it gives the same ones.
    """

    count: int
    load: Callable[[], Pairs]


def began_nothing(kind: str) -> None:
    """Nobody asks which kind begins."""
    del kind


@dataclass(frozen=True)
class Watched:
    """What traces know of the untouched copy.

    Attributes:
        structure: its towers, as deep as they are known; they hold the copy itself.
        rounding: the null control, measured on the first pair when it is asked for.
    """

    structure: Structure
    rounding: Rounding


@dataclass
class Context:
    """Everything that a gatherer may use.

    Attributes:
        model: the model under audit.
        pristine: a deep copy that no explainer ever receives.
        pairs: the data.
        explainers: by full name.
        roles: which is which.
        sizes: how much to gather.
        seed: of fills, edits and random models.
        progress: told how far the work is.
        quality: measures of map quality; the first is against masks and decides.
        checkpoints: other weights of the model's architecture, rungs of the ladder.
        others: other models, on which the maps are seen as well.
        pairs_for: the data as another model receives them; None where there are no others.
        many: pairs that performance is measured on; None for those of the audit.
        part_of_chosen: which part of the chosen pairs falls to these pairs, from 0 to 1: all, or
            that of a look.
        rungs: of the ladder, where they are chosen already; else their strengths are looked for.
        limits: by kind of evidence, those limits of the checks which judge it that its gatherer
            goes by (`audit.evidence.plan.GOES_BY`).
        tasks: keeps the finished tasks of the kind that is being gathered.
        before: what the explainer altered when it was imported, or at its first call.
        memory: what the explainer keeps of what it computed at its first call.
        began: told which kind of evidence begins.
        traced_copies: what traces know of an untouched copy, by its identity.
        seconds: that a map of an explainer took, by its full name, as far as it was drawn now.
    """

    model: ModelUnderAudit
    pristine: nn.Module
    pairs: Pairs
    explainers: dict[str, Explainer]
    roles: Roles
    sizes: Sizes
    seed: int
    progress: Progress
    quality: tuple[QualityMeasure, ...] = field(
        default_factory=partial(usual_measures, grids=False)
    )
    checkpoints: tuple[Checkpoint, ...] = ()
    others: tuple[CompanionModel, ...] = ()
    pairs_for: Callable[[ModelUnderAudit], Pairs] | None = None
    many: ManyPairs | None = None
    part_of_chosen: tuple[float, float] = (0.0, 1.0)
    rungs: tuple[RungInfo, ...] = ()
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tasks: Tasks = field(default_factory=Tasks)
    before: tuple[ChangeRecord, ...] = ()
    memory: Memory = field(default_factory=Memory)
    began: Callable[[str], None] = began_nothing
    traced_copies: dict[int, Watched] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def is_of_model(self, name: str) -> bool:
        """Whether an explainer's maps depend on model and data alone: of a control or a twin."""
        return name != self.roles.audited

    @property
    def kinds_beside(self) -> frozenset[str]:
        """Kinds of evidence that no check needs and that were asked for all the same."""
        return frozenset({"map_quality"} if families_of(self.quality) else ())

    @property
    def audited(self) -> Explainer:
        """The explainer under audit."""
        return self.explainers[self.roles.audited]

    @property
    def pristine_model(self) -> ModelUnderAudit:
        """The untouched copy, called as the model under audit is."""
        return self.model.with_module(self.pristine)

    def watched(self) -> Watched:
        """What all traces know of the untouched copy; found out once."""
        known = self.traced_copies.get(id(self.pristine))
        if known is None:
            one = torch.tensor([0])
            image, target = self.pairs.batch(one, self.model.device, self.model.dtype)
            structure = structure_of(self.model.interface, self.pristine, image, target)
            given: dict[TowerName, Tensor] = {"image": image}
            if structure.text is not None:
                given["text"] = target
            known = Watched(structure, Rounding(given))
            self.traced_copies[id(self.pristine)] = known
        return known

    @property
    def grid(self) -> tuple[int, int]:
        """Patch rows and columns."""
        return self.model.patch_grid

    def parts(self) -> ModelParts:
        """Where the weights of the model lie on the way to its score."""
        images, targets = self.pairs.batch(torch.tensor([0]), self.model.device, self.model.dtype)
        return parts_of(self.pristine_model, images, targets)

    def many_pairs(self) -> Pairs:
        """Pairs that performance is measured on."""
        return self.pairs if self.many is None else self.many.load()

    def batch_size(self) -> int:
        """Pairs per batch."""
        return batch_size_for(self.model)

    def batches(self, count: int, size: int | None = None) -> Iterator[Tensor]:
        """Index tensors that cover ``count`` pairs."""
        yield from torch.arange(count).split(size or self.batch_size())

    def explain(self, explainer: Explainer, module: nn.Module, pairs: Tensor) -> Explanation:
        """Explain some pairs on some model."""
        images, targets = self.pairs.batch(pairs, self.model.device, self.model.dtype)
        return run_explainer(explainer, module, images, targets)

    def maps(
        self, explainer: Explainer, module: nn.Module, count: int | None = None, phase: str = ""
    ) -> Float[Tensor, "pairs rows columns"]:
        """Maps of the first ``count`` pairs, on the patch grid, on the CPU."""
        count = len(self.pairs) if count is None else count
        every, done = count, 0

        def drawn(batch: Tensor) -> Tensor:
            nonlocal done
            found = on_grid(self.explain(explainer, module, batch).maps, self.grid).cpu()
            done += len(batch)
            if phase:
                self.progress(phase, done, every)
            return found

        return torch.cat(self.tasks.of_batches([*self.batches(count)], drawn))

    def guarded(self, work: Callable[[nn.Module], Tensor]) -> Tensor:
        """Run an explainer's work on the model, and give the next one an unaltered model."""
        integrity = Integrity(self.model.module, self.pristine)
        try:
            return work(self.model.module)
        finally:
            integrity.restore_library()
            if integrity.verify():
                self.replace_model()

    def replace_model(self) -> None:
        """Put a fresh copy in the place of an altered model."""
        fresh = pristine_copy(self.pristine).requires_grad_()
        object.__setattr__(self.model, "module", fresh)


def batch_size_for(model: ModelUnderAudit) -> int:
    """Pairs per batch that keep the activations of one block in the caches, or fill a device.

    On a processor with 32 MB of last-level cache the bundled model's forward pass runs at 172
    pictures a second in batches of 16 or 32 and at 105 in batches of 200. A model whose inside is
    not known gets batches of a size that suits small and large ones. Where memory was seen to hold
    less, batches are no larger than that.
    """
    return min(_suited_to(model), model.largest_batch or _LARGEST_BATCH)


def _suited_to(model: ModelUnderAudit) -> int:
    anatomy = model.anatomy
    if anatomy is None:
        return _BATCH_IF_UNKNOWN
    tower = anatomy.image
    tokens = tower.tokens
    per_pair = tokens * max(tower.width * 8, tokens * tower.heads)
    return int(np.clip(_ACTIVATIONS.get(model.device.type, _DEVICE) // per_pair, 1, _LARGEST_BATCH))


def all_maps(
    explainer: Explainer, model: ModelUnderAudit, pairs: Pairs
) -> Float[Tensor, "pairs rows columns"]:
    """Maps of all pairs on the unmodified model, on the patch grid, on the CPU."""
    parts = []
    for batch in torch.arange(len(pairs)).split(batch_size_for(model)):
        images, targets = pairs.batch(batch, model.device, model.dtype)
        maps = run_explainer(explainer, model.module, images, targets).maps
        parts.append(on_grid(maps, model.patch_grid).cpu())
    return torch.cat(parts)


def on_grid(maps: Float[Tensor, "n h w"], grid: tuple[int, int]) -> Float[Tensor, "n rows columns"]:
    """Bring maps of any size to the patch grid: averaged down, or interpolated up."""
    if tuple(maps.shape[1:]) == grid:
        return maps
    if maps.shape[1] >= grid[0] and maps.shape[2] >= grid[1]:
        return functional.adaptive_avg_pool2d(maps[:, None], grid)[:, 0]
    resized = functional.interpolate(maps[:, None], grid, mode="bilinear", align_corners=False)
    return resized[:, 0]
