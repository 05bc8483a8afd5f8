"""Gathers how well the thing that an explainer executes classifies."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.data.pairs import Pairs
from audit.evidence.context import Context
from audit.evidence.kinds import Executed, Reference, TraceEvidence
from audit.evidence.reference import class_scores, gather_reference
from audit.explainers.contract import run_explainer
from audit.models.unwrapped_values import beneath, plain
from audit.trace.instrument import Instrument, Observer
from audit.trace.operations import Operation
from audit.trace.records import Array


class ScalarTap(Observer):
    """Keeps the per-pair scores behind the scalars that are differentiated.

    Args:
        pairs: how many pairs the batch has.
    """

    def __init__(self, pairs: int) -> None:
        self.pairs = pairs
        self.scores: Tensor | None = None
        self._sums: dict[int, tuple[Tensor, Tensor]] = {}

    def after_operation(self, note: Any, operation: Operation, out: Any) -> None:
        """Follow sums back to their terms."""
        del note
        sums = operation.name in {"sum", "mean"} and isinstance(out, Tensor)
        if sums and out.numel() == 1 and operation.tensors[0].numel() == self.pairs:
            self._sums[id(out)] = (out, operation.tensors[0])

    def before_gradient(self, roots: Sequence[Tensor], directions: Sequence[Tensor | None]) -> None:
        """Note what is differentiated first."""
        del directions
        if self.scores is not None or not roots:
            return
        root = beneath(roots[0])
        if root.numel() == 1 and id(root) in self._sums:
            root = self._sums[id(root)][1]
        if root.numel() == self.pairs:
            self.scores = plain(root).flatten().clone()


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
    pictures, width = candidates.shape
    flat_picture = np.repeat(np.arange(pictures), width)
    flat_class = candidates.reshape(-1)
    scores, how = _scores(context, flat_picture, flat_class, task)
    model = np.take_along_axis(_model_scores(context, reference), candidates, 1)
    found = np.full_like(model, np.nan) if scores is None else scores.reshape(model.shape)
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


def _scores(
    context: Context, picture: np.ndarray, classes: np.ndarray, task: str
) -> tuple[np.ndarray | None, str]:
    tasks = {
        f"scores of {len(batch)}, {task} from {batch[0]}": partial(
            _batch_scores, context, picture[batch.numpy()], classes[batch.numpy()]
        )
        for batch in context.batches(len(picture))
    }
    name, first = next(iter(tasks.items()))
    found = context.tasks.kept(name, _Scores, first)
    if found.scores is None:  # nor will others have any
        return None, "none"
    told = partial(context.progress, "what the explainer executes, as a classifier")
    every = context.tasks.all_kept(_Scores, tasks, lambda done: told(done, len(tasks)))
    parts = [one.scores for one in every if one.scores is not None]
    if len(parts) < len(every):
        return None, "none"
    return np.concatenate(parts), every[-1].how


@dataclass(frozen=True)
class _Scores:
    """The scores of a batch as they are executed, and by what they were seen."""

    how: str
    scores: Array | None


def _batch_scores(context: Context, picture: Array, classes: Array) -> _Scores:
    images = context.pairs.images[torch.from_numpy(picture)]
    images = images.to(device=context.model.device, dtype=context.model.dtype)
    targets = context.pairs.targets[torch.from_numpy(classes)].to(context.model.device)
    tap = ScalarTap(len(picture))
    with Instrument(images.device, tap):
        explanation = run_explainer(context.audited, context.model.module, images, targets)
    scores, how = tap.scores, "gradient"
    if scores is None and explanation.scores is not None:
        scores, how = explanation.scores, "returned"
    return _Scores(how, None if scores is None else scores.double().cpu().numpy())
