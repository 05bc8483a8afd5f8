"""Function-preserving edits: other weights, the same function, proven on every run.

Two models that compute one function must be given one map (implementation invariance, Sundararajan
et al. 2017). Attention has a large group of such reparametrizations; these are its generators, and
those of the layers around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from audit.interventions.copies import copy_with
from audit.interventions.draws import generator_for
from audit.interventions.function_preserving import attention, channels, readouts
from audit.interventions.function_preserving.layer_edits import LayerEdit, layer_replacements
from audit.interventions.function_preserving.parts import EditNotApplicableError, Replacements
from audit.models.anatomy import Anatomy, Block, KnownTower, TowerName
from audit.models.model_under_audit import ModelUnderAudit

BLOCK_EDITS: Mapping[str, Callable[[Block, torch.Generator], Replacements]] = {
    "key-bias": attention.shift_key_bias,
    "value-bias": attention.shift_value_bias,
    "query-key-rotation": attention.rotate_query_key,
    "query-key-mixing": attention.mix_query_key,
    "value-output-mixing": attention.mix_value_output,
    "head-permutation": attention.permute_heads,
    "neuron-permutation": channels.permute_neurons,
    "attention-norm-folding": channels.fold_attention_norm,
    "mlp-norm-folding": channels.fold_mlp_norm,
}
TOWER_EDITS: Mapping[str, Callable[[KnownTower, torch.Generator], Replacements]] = {
    "final-norm-folding": readouts.fold_final_norm,
}
MODEL_EDITS: Mapping[str, Callable[[Anatomy, torch.Generator], Replacements]] = {
    "projection-rotation": readouts.rotate_projections,
}
EDITS = (*BLOCK_EDITS, *TOWER_EDITS, *MODEL_EDITS)


@dataclass(frozen=True)
class Edit:
    """A function-preserving edit.

    Attributes:
        name: one of `EDITS`.
        tower: where it applies; None where it takes both towers.
        block: which block, or None for every block of the tower, and for edits that are not of a
            block.
        seed: which draw of its random numbers.
    """

    name: str
    tower: TowerName | None = "image"
    block: int | None = None
    seed: int = 0

    @property
    def place(self) -> str:
        """Where the edit applies, in words."""
        if self.tower is None:
            return "both towers"
        if self.name not in BLOCK_EDITS:
            return f"{self.tower} tower"
        where = "all blocks" if self.block is None else f"block {self.block}"
        return f"{self.tower} tower, {where}"

    def alone(self, anatomy: Anatomy) -> Iterator[Edit]:
        """The edit of each block by itself, from the last on; of no block none."""
        if self.name in BLOCK_EDITS and self.tower is not None and self.block is None:
            for block in reversed(anatomy.tower(self.tower).blocks):
                yield replace(self, block=block.index)


def every_edit(anatomy: Anatomy, seed: int = 0) -> tuple[Edit, ...]:
    """Each edit on each place of the model that it applies to."""
    edits = [
        *(
            Edit(name, tower, block.index, seed)
            for tower in _towers(anatomy)
            for block in anatomy.tower(tower).blocks
            for name in BLOCK_EDITS
        ),
        *_beyond_blocks(anatomy, seed),
    ]
    return applicable(anatomy, edits)


def default_edits(anatomy: Anatomy, seed: int = 0) -> tuple[Edit, ...]:
    """Each edit on the last block, on all blocks of the image tower, and on all of the text tower.

    An explainer that looks into any block is met by the edit of all blocks; the edit of the last
    block, from which most maps are drawn, tells whether it is that one.
    """
    last = len(anatomy.image.blocks) - 1
    edits = [
        *(Edit(name, "image", last, seed) for name in BLOCK_EDITS),
        *(Edit(name, tower, None, seed) for tower in _towers(anatomy) for name in BLOCK_EDITS),
        *_beyond_blocks(anatomy, seed),
    ]
    return applicable(anatomy, edits)


def _beyond_blocks(anatomy: Anatomy, seed: int) -> Iterator[Edit]:
    """Edits of a tower's readout, and of both towers at once where there are two."""
    towers = _towers(anatomy)
    yield from (Edit(name, tower, None, seed) for name in TOWER_EDITS for tower in towers)
    if len(towers) > 1:
        yield from (Edit(name, None, None, seed) for name in MODEL_EDITS)


def _towers(anatomy: Anatomy) -> tuple[TowerName, ...]:
    return ("image",) if anatomy.text_tower is None else ("image", "text")


def applicable(anatomy: Anatomy, edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """Those of the edits that the model has the parts for, tried once per edit and tower."""
    known: dict[tuple[str, TowerName | None], bool] = {}
    for edit in edits:
        if (edit.name, edit.tower) not in known:
            known[edit.name, edit.tower] = _applies(anatomy, edit)
    return tuple(edit for edit in edits if known[edit.name, edit.tower])


def _applies(anatomy: Anatomy, edit: Edit) -> bool:
    """Whether one block, or what else it takes, has the parts; a tower's blocks are built alike."""
    one = replace(edit, block=0) if edit.name in BLOCK_EDITS else edit
    try:
        replacements_of(anatomy, one)
    except EditNotApplicableError:
        return False
    return True


def apply_edit(model: ModelUnderAudit, edit: Edit | LayerEdit) -> nn.Module:
    """An edited copy of the model's module; it shares every tensor that the edit does not change.

    The edit is computed in float64 on the CPU and cast, from a generator seeded by the edit.

    Args:
        model: the model under audit, left as it is.
        edit: the edit.

    Raises:
        EditNotApplicableError: the model lacks what the edit changes.
        UnknownAnatomyError: the inside of the model is not known, and the edit needs it.
        ValueError: an unknown edit, or a block that the tower does not have.
    """
    if isinstance(edit, LayerEdit):
        return copy_with(model.module, layer_replacements(model.module, edit))
    return copy_with(model.module, replacements_of(model.require_anatomy(), edit))


def replacements_of(anatomy: Anatomy, edit: Edit) -> Replacements:
    """New values, by dotted name, of the parameters that an edit changes; see `apply_edit`."""
    if edit.name in MODEL_EDITS:
        found = MODEL_EDITS[edit.name](anatomy, _generator(edit))
    elif edit.tower is None:
        raise ValueError(f"expected a tower for the edit '{edit.name}', got None")
    elif edit.name in TOWER_EDITS:
        found = TOWER_EDITS[edit.name](anatomy.tower(edit.tower), _generator(edit))
    elif edit.name in BLOCK_EDITS:
        found = {
            name: value
            for block in _blocks(anatomy.tower(edit.tower), edit.block)
            for name, value in BLOCK_EDITS[edit.name](block, _generator(edit, block)).items()
        }
    else:
        raise ValueError(f"expected one of {', '.join(EDITS)}; got the edit '{edit.name}'")
    old = dict(anatomy.model.named_parameters(remove_duplicate=False))
    return {n: v for n, v in found.items() if not torch.equal(v, old[n].detach().cpu().double())}


def _generator(edit: Edit, block: Block | None = None) -> torch.Generator:
    """Seeded by the block too, so that an edit of all blocks repeats the edit of each."""
    place = None if block is None else block.index
    return generator_for("edit", edit.name, edit.tower, place, edit.seed)


def _blocks(tower: KnownTower, index: int | None) -> tuple[Block, ...]:
    if index is None:
        return tower.blocks
    if not 0 <= index < len(tower.blocks):
        raise ValueError(
            f"expected a block from 0 to {len(tower.blocks) - 1} of the {tower.name} tower, got "
            f"{index}"
        )
    return (tower.blocks[index],)
