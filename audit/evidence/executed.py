"""Gathers how well the thing that an explainer executes classifies."""

from __future__ import annotations

import dataclasses

import numpy as np

from audit.data.pairs import Pairs
from audit.evidence.context import Context
from audit.evidence.executed_scores import scores_of_candidates
from audit.evidence.kinds import Executed, Reference, TraceEvidence
from audit.evidence.reference import class_scores, gather_reference


def gather_executed(context: Context, reference: Reference, trace: TraceEvidence) -> Executed:
    """Answers of what the explainer executes; those of the model where the trace shows it to be."""
    if _is_the_model(trace):
        return Executed("model", reference.correct, reference.correct, 0.0)
    found, more = executed_answers(context, reference), more_pairs(context)
    if more is None or found.how == "none":
        return found
    wider = dataclasses.replace(context, pairs=more)
    added = executed_answers(wider, gather_reference(wider), "more answers")
    return Executed(
        how=found.how,
        correct=np.concatenate([found.correct, added.correct]),
        model_correct=np.concatenate([found.model_correct, added.model_correct]),
        largest_difference=_larger(found.largest_difference, added.largest_difference),
    )


def more_pairs(context: Context) -> Pairs | None:
    """Pairs of further pictures, where those of the audit are too few to compare accuracies by.

    None where there are enough, or no more; in looks, which bring more pictures themselves; and for
    grids, whose sets are drawn as wholes.
    """
    wanted = context.sizes.executed_pictures - len(context.pairs.present)
    looks, grids = context.part_of_chosen != (0.0, 1.0), context.pairs.sets is not None
    if wanted <= 0 or context.many is None or looks or grids:
        return None
    pairs = context.many_pairs()
    own, picture = np.isin(pairs.ids, context.pairs.ids), pairs.picture.numpy()
    others = np.setdiff1d(picture, picture[own])
    drawn = np.random.default_rng(context.seed).permutation(others)[:wanted]
    index = np.flatnonzero(np.isin(picture, drawn)).tolist()
    return pairs.select(index) if index else None


def _larger(one: float | None, other: float | None) -> float | None:
    known = [d for d in (one, other) if d is not None]
    return max(known, default=None)


def _is_the_model(trace: TraceEvidence) -> bool:
    """Every explained scalar is the model's, so that asking again would repeat the reference."""
    scalars = [s for t in trace.traces for s in t.scalars]
    return bool(scalars) and all(s.clean and s.of_pair for s in scalars)


def executed_answers(context: Context, reference: Reference, task: str = "answers") -> Executed:
    """Answers by the scores of every picture and its candidate classes, as they are executed.

    Args:
        context: with the pictures.
        reference: the model's answers.
        task: what the scores of a batch are kept as.
    """
    candidates = strongest_classes(context, reference)
    scores, how = scores_of_candidates(context, candidates, task)
    model = np.take_along_axis(_model_scores(context, reference), candidates, 1)
    found = np.full_like(model, np.nan) if scores is None else scores
    return Executed(
        how=how,
        correct=_correct(found, candidates, reference.present),
        model_correct=_correct(model, candidates, reference.present),
        largest_difference=None if scores is None else float(np.abs(found - model).max()),
    )


def _model_scores(context: Context, reference: Reference) -> np.ndarray:
    """The model's score of every picture and class, for the target that is explained."""
    if context.pairs.averaged is None:
        return np.asarray(reference.scores)
    return class_scores(context, context.pristine, averaged=False).double().numpy()


def _correct(scores: np.ndarray, candidates: np.ndarray, present: np.ndarray) -> np.ndarray:
    rows = np.arange(len(scores))
    best = candidates[rows, np.nan_to_num(scores, nan=-np.inf).argmax(1)]
    return np.asarray(present[rows, best])


def strongest_classes(context: Context, reference: Reference) -> np.ndarray:
    """All classes, or the present ones and the strongest rivals by the unmodified model."""
    count = min(len(reference.classes), context.sizes.executed_candidates)
    order = np.lexsort((-reference.scores, ~reference.present), axis=1)[:, :count]
    return np.sort(order, axis=1)
