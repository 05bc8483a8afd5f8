"""Values that are not the model's, where they go into a block or out of a tower."""

from __future__ import annotations

from torch import Tensor

from audit.models.transformer_block import TowerName
from audit.trace.fingerprint import fingerprint
from audit.trace.frames import Place
from audit.trace.lineage import EMPTY, Lineage
from audit.trace.observations import AlterationSeen
from audit.trace.samples import thin


class Alterations(list[AlterationSeen]):
    """Alterations by their number."""

    def note(
        self,
        tower: TowerName,
        block: int,
        rows: Tensor,
        place: Place,
        *,
        lineage: Lineage = EMPTY,
        surrogate: bool = False,
        patched: bool = False,
        sample: Tensor | None = None,
    ) -> Lineage:
        """Note one; gives the mark that its values bear from here on.

        Args:
            tower: which tower.
            block: the block, or the number of blocks for the final norm and the end.
            rows: the values, one row for each picture or text.
            place: the explainer's line.
            lineage: where they come from.
            surrogate: see `AlterationSeen`, as for the rest.
            patched: likewise.
            sample: likewise.
        """
        number = frozenset({len(self)})
        prints = fingerprint(rows)
        self.append(
            AlterationSeen(tower, block, lineage, surrogate, patched, prints, sample, place)
        )
        thin([one for one in self if (one.tower, one.block) == (tower, block)])
        return Lineage(surrogates=number) if surrogate else Lineage(alterations=number)
