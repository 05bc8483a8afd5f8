"""Gathers accuracy and quality of the maps on other models: the same measurements, side by side."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import numpy as np

from audit.evidence.context import Context
from audit.evidence.explanations import gather_explanations
from audit.evidence.kinds import (
    Explanations,
    Faithfulness,
    Ladder,
    OtherModels,
    Reference,
    RungFaithfulness,
    RungInfo,
)
from audit.evidence.map_faithfulness import gather_faithfulness
from audit.evidence.reference import gather_reference
from audit.evidence.smaller_batches import in_batches_that_fit
from audit.evidence.tasks import Tasks
from audit.explainers.binding import bound
from audit.models.companion_models import CompanionModel
from audit.models.pristine import pristine_copy


@dataclass(frozen=True)
class _Row:
    """What was measured on one model."""

    info: RungInfo
    reference: Reference
    explanations: Explanations
    faithfulness: Faithfulness


def gather_other_models(
    context: Context,
    reference: Reference,
    explanations: Explanations,
    faithfulness: Faithfulness | None = None,
) -> OtherModels:
    """Measure the explainers on every other model, on the same pairs.

    The faithfulness of the maps on the model under audit is measured here where it is not given.

    An explainer that raises on another model has no maps there; that is told, and is no failure of
    the audit.
    """
    if not context.others:
        return OtherModels()
    own = RungInfo("the model under audit", "unmodified", 0.0, 0)
    faithfulness = faithfulness or gather_faithfulness(context, explanations)
    rows = [_Row(own, reference, explanations, faithfulness)]
    failures = {}
    for place, other in enumerate(context.others, 1):
        info = RungInfo(other.source, "other-model", float(place), 0, other.sha256)
        try:
            measure = functools.partial(_measured, context, other, info)
            rows.append(context.tasks.kept(f"model {place} {other.source}", _Row, measure))
        except Exception as error:  # noqa: BLE001 - an explainer may raise anything
            failures[other.source] = f"{type(error).__name__}: {error}"[:500]
        context.progress("other models", place, len(context.others))
    return OtherModels(_ladder(rows, context.roles.decides), _faithfulness(rows), failures)


def _measured(context: Context, other: CompanionModel, info: RungInfo) -> _Row:
    assert context.pairs_for is not None  # noqa: S101 - given with the others
    model = other.load(context.model)
    pairs = context.pairs_for(model)
    index = {pair: i for i, pair in enumerate(pairs.ids)}
    there = dataclasses.replace(
        context,
        model=model,
        pristine=pristine_copy(model.module),
        explainers={
            name: bound(explainer, model, pairs.targets)
            for name, explainer in context.explainers.items()
        },
        pairs=pairs.select([index[pair] for pair in context.pairs.ids]),
        checkpoints=(),
        others=(),
        tasks=Tasks(sampler=context.tasks.sampler),
    )
    return in_batches_that_fit(model, there.batch_size, None, functools.partial(_row, there, info))


def _row(there: Context, info: RungInfo) -> _Row:
    explanations = gather_explanations(there)
    faithfulness = gather_faithfulness(there, explanations)
    return _Row(info, gather_reference(there), explanations, faithfulness)


def _ladder(rows: list[_Row], decides: str) -> Ladder:
    return Ladder(
        rungs=tuple(row.info for row in rows),
        identity_error=0.0,
        correct=np.stack([row.reference.correct for row in rows]),
        localization={
            name: np.stack([row.explanations.localization[name][decides] for row in rows])
            for name in rows[0].explanations.localization
        },
    )


def _faithfulness(rows: list[_Row]) -> RungFaithfulness:
    measured = [row.faithfulness for row in rows]
    return RungFaithfulness(
        measured[0].probed,
        {name: np.stack([one.gaps[name] for one in measured]) for name in measured[0].gaps},
        np.stack([one.span for one in measured]),
    )
