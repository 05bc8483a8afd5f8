"""Towers and blocks as modules of the explainer's model, and whether one is called as usual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from audit.models.structure import AnyTower, Structure
from audit.models.tower import Tower
from audit.models.unwrapped_values import plain
from audit.trace.module_snapshot import PASSING_HOOKS, has_hooks


@dataclass
class Part:
    """A tower that is a module of its own, or a block.

    Attributes:
        tower: whose part it is.
        index: number of the block, None for the whole tower.
        path: dotted name of its module.
        module: of the explainer's model.
        passes: how many went through it plainly so far.
        hooked: how many went through it with hooks around it and none within.
        entrances: modules within whose weights meet what enters.
    """

    tower: AnyTower
    index: int | None
    path: str
    module: nn.Module
    passes: int = 0
    hooked: int = 0
    entrances: frozenset[int] = frozenset()

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


def parts_of(model: nn.Module, structure: Structure) -> Iterator[Part]:
    """The blocks and towers of a model."""
    for tower in structure.towers:
        for block in tower.blocks:
            owners = {
                path.rpartition(".")[0]
                for path, entrance in tower.entrances.items()
                if entrance.block == block.index
            } - {block.path}
            entrances = frozenset(id(model.get_submodule(owner)) for owner in owners)
            module = model.get_submodule(block.path)
            yield Part(tower, block.index, block.path, module, entrances=entrances)
        if tower.whole is not None:
            yield Part(tower, None, tower.whole, model.get_submodule(tower.whole))


def is_called_as_usual(part: Part, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
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


def is_quiet_within(module: nn.Module) -> bool:
    """Whether no hook is on any module in this one; it may have some itself."""
    return not any(has_hooks(one, PASSING_HOOKS) for one in module.modules() if one is not module)
