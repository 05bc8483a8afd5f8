"""What an explainer keeps from one call to the next: text features, most often.

A tensor that outlives the call in which it was computed is remembered with the features of the
model that it is made of, so that a later call knows where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from audit.models.transformer_block import TowerName
from audit.trace.lineage import Anchor, Lineage
from audit.trace.lineages import Lineages
from audit.trace.passes import Passes


@dataclass(frozen=True)
class KeptFeatures:
    """Features of one pass of an earlier call.

    Attributes:
        tower: whose.
        tokens: token ids of a text pass.
        features: what the model gave, (b, e).
    """

    tower: TowerName
    tokens: Tensor | None
    features: Tensor


Memory = WeakIdKeyDictionary
"""By tensor that an explainer kept: the features that it is made of, none where of others."""


def remembered(lineages: Lineages[Any], passes: Passes) -> Memory:
    """What is still alive of the tensors of a call."""
    memory: Memory = WeakIdKeyDictionary()
    for t, lineage in lineages.items():
        if not isinstance(t, Tensor) or not t.is_floating_point() or lineage.empty:
            continue
        if lineage.params and not lineage.anchors:
            continue  # a parameter, which is recognized by its values
        kept = [_kept(passes, anchor) for anchor in sorted(lineage.anchors)]
        known = [one for one in kept if one is not None]
        clean = len(known) == len(kept) and not lineage.deviates and not lineage.scalars
        memory[t] = tuple(known) if clean else ()
    return memory


def _kept(passes: Passes, anchor: Anchor) -> KeptFeatures | None:
    run = passes.runs[anchor.run]
    if not anchor.terminal or run.features is None:
        return None
    return KeptFeatures(run.tower, run.tokens, run.features)


def recalled(memory: Memory, passes: Passes) -> Iterator[tuple[Tensor, Lineage]]:
    """Lineages of remembered tensors, those of the model, among the runs of a new call."""
    for t, kept in memory.items():
        anchors = frozenset(_recalled(one, passes) for one in kept)
        if anchors:
            yield t, Lineage(anchors=anchors)


def _recalled(one: KeptFeatures, passes: Passes) -> Anchor:
    tower, precision = passes.structure.tower(one.tower), passes.precisions.given
    return passes.runs.kept_from_earlier(tower, one.tokens, one.features, precision)
