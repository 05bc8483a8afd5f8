"""What a result says of explainers whose maps are those of the audited one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from audit.evidence import kinds
from audit.evidence.kinds import Evidence
from audit.explainers.identities import identity_of, spec_of
from audit.metrics.map_relation import Relation
from audit.result import wording as words
from audit.result.schema import Equivalence

SAYS: Final = {
    Relation.EQUAL: "is equivalent to {}",
    Relation.SCALE: "gives the maps of {} up to a factor",
    Relation.AFFINE: "gives the maps of {} up to a factor and an offset",
    Relation.RANKING: "ranks patches as {} does",
}


def shown_equivalences(
    name: str, options: Mapping[str, str], evidence: Evidence
) -> list[Equivalence]:
    """The explainers that the audited one was found related to, then the most similar others.

    Args:
        name: of the audited explainer.
        options: its own.
        evidence: of the audit.
    """
    if evidence.equivalences is None:
        return []
    own = spec_of(name, options)
    return [_shown(own, entry) for entry in evidence.equivalences.entries]


def _shown(own: str, entry: kinds.Equivalence) -> Equivalence:
    relation = Relation(entry.relation)
    known = identity_of(own, entry.name)
    ranks = entry.rank_correlation
    return Equivalence(
        name=entry.name,
        equivalent=relation is Relation.EQUAL,
        largest_difference=entry.largest_difference,
        mean_rank_correlation=ranks if np.isfinite(ranks) else None,
        note=_note(relation, entry),
        relation=relation.value,
        pairs=entry.pairs,
        residual=None if relation is Relation.NONE else entry.residual,
        algebra=known.algebra if known and known.relation is relation else "",
    )


def _note(relation: Relation, entry: kinds.Equivalence) -> str:
    if relation is Relation.NONE:
        return f"similar, not equivalent: {words.counted(entry.pairs, 'pair')} compared"
    where = f"over {words.counted(entry.pairs, 'pair')}"
    if not entry.models:
        return f"{where}; not in double precision, in which the explainer does not run"
    left = "" if relation is Relation.RANKING else f" {words.number(entry.residual)} of the range"
    weights = ", also with its weights drawn anew" if entry.models > 1 else ""
    return (
        f"{where}; in double precision to{left or ' the last place'} on "
        f"{words.counted(entry.exact_pairs, 'pair')} of this model{weights}"
    )


def equivalence_notes(name: str, equivalences: Sequence[Equivalence]) -> list[str]:
    """A sentence for each explainer that the audited one is related to."""
    return [_sentence(name, other) for other in equivalences if _is_related(other)]


def _is_related(other: Equivalence) -> bool:
    return other.equivalent or other.relation in {one.value for one in SAYS}


def _sentence(name: str, other: Equivalence) -> str:
    relation = Relation(other.relation) if other.relation else Relation.EQUAL
    said = f"{name} {SAYS[relation].format(other.name)}"
    if relation is Relation.EQUAL:
        pairs = f" over {words.counted(other.pairs, 'pair')}" if other.pairs else " on every pair"
        gap = words.number(other.largest_difference)
        said += f":{pairs} the maps differ by at most {gap} of their range"
    elif other.pairs:
        said += f", on each of {words.counted(other.pairs, 'pair')}"
    return f"{said}."
