"""Gathers how well the thing that an explainer executes classifies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from audit.evidence.context import Context
from audit.evidence.kinds import Executed, Reference, TraceEvidence
from audit.explainers.contract import run_explainer
from audit.trace.records import Array


class ScalarTap(TorchFunctionMode):
    """Keeps the per-pair scores behind the scalars that are differentiated under it.

    Args:
        pairs: how many pairs the batch has.
    """

    def __init__(self, pairs: int) -> None:
        super().__init__()
        self.pairs = pairs
        self.scores: Tensor | None = None
        self._sums: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Follow sums back to their terms, and note what is differentiated."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in {"grad", "backward"}:
            target = kwargs.get("outputs", kwargs.get("tensors", args[0] if args else None))
            self._note(target[0] if isinstance(target, (tuple, list)) else target)
        out = func(*args, **kwargs)
        terms = args[0] if args and isinstance(args[0], Tensor) else None
        if name in {"sum", "mean"} and terms is not None and terms.numel() == self.pairs:
            self._sums[id(out)] = (out, terms)
        return out

    def _note(self, target: object) -> None:
        if not isinstance(target, Tensor) or self.scores is not None:
            return
        if target.numel() == 1 and id(target) in self._sums:
            target = self._sums[id(target)][1]
        if target.numel() == self.pairs:
            self.scores = target.detach().flatten().clone()


def gather_executed(context: Context, reference: Reference, trace: TraceEvidence) -> Executed:
    """Answers of what the explainer executes; those of the model where the trace shows it to be."""
    if _is_the_model(trace):
        return Executed("model", reference.correct, reference.correct, 0.0)
    return executed_answers(context, reference)


def _is_the_model(trace: TraceEvidence) -> bool:
    """Every explained scalar is the model's, so that asking again would repeat the reference."""
    scalars = [s for t in trace.traces for s in t.scalars]
    return bool(scalars) and all(s.clean and s.of_pair for s in scalars)


def executed_answers(context: Context, reference: Reference) -> Executed:
    """Answers by the scores of every picture and its candidate classes, as they are executed."""
    candidates = _candidates(context, reference)
    pictures, width = candidates.shape
    flat_picture = np.repeat(np.arange(pictures), width)
    flat_class = candidates.reshape(-1)
    scores, how = _scores(context, flat_picture, flat_class)
    model = np.take_along_axis(reference.cosine, candidates, 1)
    found = np.full_like(model, np.nan) if scores is None else scores.reshape(model.shape)
    return Executed(
        how=how,
        correct=_correct(found, candidates, reference.present),
        model_correct=_correct(model, candidates, reference.present),
        largest_difference=None if scores is None else float(np.abs(found - model).max()),
    )


def _correct(scores: np.ndarray, candidates: np.ndarray, present: np.ndarray) -> np.ndarray:
    rows = np.arange(len(scores))
    best = candidates[rows, np.nan_to_num(scores, nan=-np.inf).argmax(1)]
    return np.asarray(present[rows, best])


def _candidates(context: Context, reference: Reference) -> np.ndarray:
    """All classes, or the present ones and the strongest rivals by the unmodified model."""
    count = min(len(reference.classes), context.sizes.executed_candidates)
    boosted = reference.cosine + 10.0 * reference.present
    order = np.argsort(-boosted, axis=1, kind="stable")[:, :count]
    return np.sort(order, axis=1)


def _scores(
    context: Context, picture: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray | None, str]:
    parts: list[np.ndarray] = []
    how = "none"
    phase = "what the explainer executes, as a classifier"
    for batch in context.batches(len(picture)):
        index = batch.numpy()
        found = context.tasks.kept(
            f"answers from {index[0]}",
            _Scores,
            partial(_batch_scores, context, picture[index], classes[index]),
        )
        if found.scores is None:
            return None, "none"
        how = found.how
        parts.append(found.scores)
        context.progress(phase, int(index[-1]) + 1, len(picture))
    return np.concatenate(parts), how


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
    with tap:
        explanation = run_explainer(context.audited, context.model.module, images, targets)
    scores, how = tap.scores, "gradient"
    if scores is None and explanation.scores is not None:
        scores, how = explanation.scores, "returned"
    return _Scores(how, None if scores is None else scores.double().cpu().numpy())
