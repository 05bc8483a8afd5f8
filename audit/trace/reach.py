"""Which blocks hold the states that a value may be, by what it is computed of."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from audit.models.structure import AnyTower, Structure
from audit.models.tower import Tower
from audit.models.transformer_block import TowerName
from audit.trace.lineage import Anchor, Lineage

Block = tuple[TowerName, int]


class Reach:
    """Blocks near states and parameters.

    One operation leads from a state to another of the same block or to what enters the next one,
    and what a parameter meets becomes a state of the block that it belongs to.

    Args:
        structure: of the unmodified model.
        before_blocks: towers and sites of states before the first block, as far as they are known;
            its entrance is none of them.
    """

    def __init__(
        self, structure: Structure, before_blocks: AbstractSet[tuple[TowerName, str]]
    ) -> None:
        self._structure = structure
        self._before_blocks = before_blocks
        self._block_of: dict[str, frozenset[Block]] = {}

    def of(self, lineage: Lineage) -> frozenset[Block]:
        """Blocks that hold what is computed of values of a lineage, where it is a state at all."""
        near: set[Block] = set()
        for anchor in lineage.anchors:
            near.update(self._near(anchor))
        for path in lineage.params:
            near |= self._of_parameter(path)
        return frozenset(near)

    def _near(self, anchor: Anchor) -> Iterator[Block]:
        if anchor.terminal or (anchor.tower, anchor.site) in self._before_blocks:
            return
        tower = self._structure.tower(anchor.tower)
        block = anchor.block
        if isinstance(tower, Tower):
            yield anchor.tower, block + (anchor.site == "output")
            return
        yield from ((anchor.tower, b) for b in (block, block + 1, *_pooled_at(tower, block)))

    def _of_parameter(self, path: str) -> frozenset[Block]:
        known = self._block_of.get(path)
        if known is None:
            tower = self._structure.tower(self._structure.tower_of(path))
            within = [b.index for b in tower.blocks if path.startswith(f"{b.path}.")]
            found = {
                *within,
                *(i for b in within or range(len(tower.blocks)) for i in _pooled_at(tower, b)),
            }
            known = self._block_of[path] = frozenset((tower.name, i) for i in found)
        return known


def _pooled_at(tower: AnyTower, block: int) -> Iterator[int]:
    """The step at which a pooling is known that this one is a part of."""
    pooling = None if isinstance(tower, Tower) else tower.pooling
    if pooling is not None and pooling.first <= block <= pooling.stop:
        yield pooling.first
