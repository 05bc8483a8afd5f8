"""Gathers which registered explainers give the audited explainer's maps, and which come close.

A few pairs tell nearly all of them apart. What is left is compared in double precision, on the
model and on one with other weights, and on all pairs: methods that are merely similar differ there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from audit.data.pairs import Pairs
from audit.evidence.context import Context
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.exact_models import (
    compared_maps,
    explains_tokens,
    in_double_precision,
    with_drawn_weights,
)
from audit.evidence.explained_copies import own_copy
from audit.evidence.kinds import Equivalence, Equivalences, Explanations
from audit.explainers.contract import Explainer
from audit.explainers.identities import spec_of
from audit.explainers.registry import comparable_with
from audit.metrics.map_relation import (
    ROUNDING,
    Related,
    Relation,
    largest_difference,
    may_be_related,
    mean_rank_correlation,
    relation_of,
    rounding_of,
    still_related,
    weakest,
)
from audit.models.model_under_audit import ModelUnderAudit

FEW = 3
NEAREST = 3
Maps = Float[Tensor, "pairs places"]


@dataclass(frozen=True)
class _Compared:
    """What maps are compared on.

    Attributes:
        context: of the audit.
        few: pairs that all explainers are compared on.
        tokens: whether maps are of the text's tokens.
    """

    context: Context
    few: Pairs
    tokens: bool

    def maps(self, explainer: Explainer, pairs: Pairs) -> Maps:
        """Maps on the model under audit, which is put right where the explainer alters it."""

        def draw(_: nn.Module) -> Tensor:
            return compared_maps(explainer, self.context.model, pairs, tokens=self.tokens)

        return self.context.guarded(draw)

    def of_registered(self, others: Mapping[str, Explainer]) -> dict[str, Maps]:
        """Maps of registered explainers on the few pairs, but of those that cannot run here."""

        def draw() -> dict[str, Tensor]:
            found = {name: self._few(other) for name, other in others.items()}
            return {name: maps for name, maps in found.items() if maps is not None}

        name = f"few maps of {', '.join(others)}"
        return self.context.tasks.drawn(name, draw, of_model=True)

    def _few(self, explainer: Explainer) -> Maps | None:
        try:
            return compared_maps(explainer, self.context.model, self.few, tokens=self.tokens)
        except Exception:  # noqa: BLE001 - one that cannot run on this model is compared with nothing
            return None


def gather_equivalences(context: Context, explanations: Explanations) -> Equivalences:
    """Compare the audited maps with those of all registered explainers of few passes."""
    audited = context.audited
    rows = evenly_spaced(len(context.pairs), FEW)
    few = context.pairs.select(rows)
    tokens = not audited.saved and _explains_tokens(context, few)
    at = _Compared(context, few, tokens)
    every = _audited_maps(at, explanations)
    ours = every[rows]
    others = {
        spec_of(other.name, other.options): other
        for other in comparable_with(audited, explains_text=tokens)
    }
    theirs = {
        name: maps for name, maps in at.of_registered(others).items() if maps.shape == ours.shape
    }
    near = [name for name, maps in theirs.items() if may_be_related(ours, maps)]
    tolerance = ROUNDING[context.model.dtype_name]
    exact = _exact(at, {name: others[name] for name in near})
    entries, similar = [], []
    for name, maps in theirs.items():
        if name in near:
            found = exact.get(name) or _Exact(relation_of(ours, maps, tolerance), 0)
            entry = _entry(at, name, others[name], every, found)
            if entry.relation != Relation.NONE:
                entries.append(entry)
                continue
        similar.append(_similar(name, ours, maps))
    order = list(Relation)
    entries.sort(key=lambda entry: order.index(Relation(entry.relation)))
    similar = [one for one in similar if one.rank_correlation > 0]
    similar.sort(key=lambda entry: -entry.rank_correlation)
    return Equivalences((*entries, *similar[:NEAREST]), len(theirs))


def _explains_tokens(context: Context, few: Pairs) -> bool:
    found = context.guarded(
        lambda _: torch.tensor(explains_tokens(context.audited, context.model, few))
    )
    return bool(found)


def _audited_maps(at: _Compared, explanations: Explanations) -> Maps:
    """Those of all pairs, which are drawn already where they are of pictures."""
    if not at.tokens:
        return torch.from_numpy(explanations.maps[at.context.roles.audited]).flatten(1)
    draw = partial(at.maps, at.context.audited, at.context.pairs)
    return at.context.tasks.one_drawn("token maps of all pairs", draw)


@dataclass(frozen=True)
class _Exact:
    """How maps are related in double precision, and on how many models that was found."""

    related: Related
    models: int


def _exact(at: _Compared, others: Mapping[str, Explainer]) -> dict[str, _Exact]:
    """The relation in double precision of those that can be drawn so, by name."""
    if not others or at.context.audited.saved:
        return {}
    found: dict[str, list[Related]] = {}
    for model in _models(at):
        ours = _in_double_precision(at, model)
        for name, other in others.items():
            if ours is None:
                break
            theirs = compared_maps(other, model, at.few, tokens=at.tokens)
            related = relation_of(ours, theirs, rounding_of(ours, theirs))
            found.setdefault(name, []).append(related)
    return {name: _Exact(weakest(each), len(each)) for name, each in found.items()}


def _in_double_precision(at: _Compared, model: ModelUnderAudit) -> Maps | None:
    """The audited maps on a copy, None where the explainer knows no double precision."""
    own = model.with_module(own_copy(model.module))
    try:
        return compared_maps(at.context.audited, own, at.few, tokens=at.tokens)
    except Exception:  # noqa: BLE001 - it may raise anything, and its own precision is left
        return None


def _models(at: _Compared) -> list[ModelUnderAudit]:
    """The untouched model in double precision, and one of its architecture with other weights."""
    own = in_double_precision(at.context.pristine_model)
    return [own, with_drawn_weights(own, at.few, at.context.seed)]


def _entry(at: _Compared, name: str, other: Explainer, every: Maps, found: _Exact) -> Equivalence:
    """A candidate on all pairs: the relation holds there too, or it is none."""
    draw = partial(at.maps, other, at.context.pairs)
    theirs = at.context.tasks.one_drawn(f"all maps of {name}", draw, of_model=True)
    relation = found.related.relation
    if not still_related(every, theirs, relation):
        relation = Relation.NONE
    return Equivalence(
        name=name,
        relation=relation.value,
        largest_difference=largest_difference(every, theirs),
        rank_correlation=mean_rank_correlation(every, theirs),
        pairs=len(every),
        residual=found.related.residual,
        exact_pairs=len(at.few) if found.models else 0,
        models=found.models,
    )


def _similar(name: str, ours: Maps, maps: Maps) -> Equivalence:
    return Equivalence(
        name=name,
        relation=Relation.NONE.value,
        largest_difference=largest_difference(ours, maps),
        rank_correlation=mean_rank_correlation(ours, maps),
        pairs=len(ours),
        residual=largest_difference(ours, maps),
        exact_pairs=0,
        models=0,
    )
