"""What a tensor descends from that is a state of the model."""

from __future__ import annotations

from audit.models.transformer_block import TowerName
from audit.trace.lineage import EMPTY, Anchor, Lineage, union
from audit.trace.passes import Passes


class Anchored:
    """Lineages of states.

    Args:
        passes: whose states they are.

    Attributes:
        clean: towers of which a state of the given input was computed.
    """

    def __init__(self, passes: Passes) -> None:
        self.clean: set[TowerName] = set()
        self._passes = passes

    def lineage(self, found: frozenset[Anchor]) -> Lineage:
        """The lineage of what is these states; of logits the classes are the texts."""
        for anchor in found:
            run = self._passes.runs[anchor.run]
            if run.given and (anchor.terminal or (anchor.site == "input" and anchor.block)):
                self.clean.add(run.tower)
        runs = {a.run for a in found}
        inherits = union([self._passes.runs[r].inherits for r in runs])
        if (classes := self._passes.classes) is not None and all(a.terminal for a in found):
            found |= {Anchor("text", 0, "feature", "pooled", classes.number)}
        return inherits.inherited(found) if inherits is not EMPTY else Lineage(anchors=found)

    def still_deviating(self, lineage: Lineage, inherited: Lineage) -> Lineage:
        """A state that another attention or altered values led to is a state only to rounding.

        In a coarse dtype that is too much to acquit it.
        """
        kept = Lineage(events=inherited.events, alterations=inherited.alterations)
        coarse = any(self._passes.runs[a.run].precision.is_coarse for a in lineage.anchors)
        return union([lineage, kept]) if coarse else lineage
