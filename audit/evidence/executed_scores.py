"""The scores of pictures and classes as an explainer executes them.

Most of what is executed scores a picture by a feature of its own that it compares with that of the
target. Such a feature, found by what it explains of the executed scores, tells the scores of all
classes from one explanation; that it does is seen on the first pictures, which are explained for
every class, and again on every explanation that is used so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from audit.evidence.context import Context
from audit.evidence.reference import class_features
from audit.explainers.contract import run_explainer
from audit.models.unwrapped_values import beneath, plain
from audit.trace.instrument import Instrument, Observer
from audit.trace.operations import Operation
from audit.trace.records import Array

_ALIKE = "scores of {}, "  # tasks cost alike whose names agree up to a comma
EXPLAINED = 4  # pictures whose every score is asked for, before any is told from a feature
_ROUNDING = 1e-5  # of the largest score: what a score told from a feature may be off


class ScoreTap(Observer):
    """Keeps the per-pair scores behind differentiated scalars, and what may be their features.

    Args:
        pairs: how many pairs the batch has.
        width: of a feature.
    """

    def __init__(self, pairs: int, width: int) -> None:
        self.shape = (pairs, width)
        self.pairs = pairs
        self.scores: Tensor | None = None
        self.features: list[Tensor] = []
        self._sums: dict[int, tuple[Tensor, Tensor]] = {}

    def after_operation(self, note: Any, operation: Operation, out: Any) -> None:
        """Follow sums back to their terms, until the scores are known."""
        del note
        if self.scores is not None:
            return
        if isinstance(out, Tensor) and out.shape == self.shape and out.is_floating_point():
            self.features.append(plain(out).detach().clone())
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


@dataclass(frozen=True)
class _Asked:
    """The scores of a batch as they are executed.

    Attributes:
        how: by what they were seen.
        scores: of each pair, None where none are exposed.
        told: those of all classes, from a feature that explains the scores; None without one.
        factor: of the scores over those that the feature has, such as a temperature.
    """

    how: str
    scores: Array | None
    told: Array | None
    factor: float = np.nan


def scores_of_candidates(
    context: Context, candidates: Array, task: str
) -> tuple[Array | None, str]:
    """Executed scores of every picture with its candidate classes, and by what they were seen.

    Args:
        context: with the pictures.
        candidates: classes of each picture, (pictures, candidates).
        task: what the scores of a batch are kept as.

    Returns:
        (pictures, candidates), None where the explainer exposes no score.
    """
    count, width = candidates.shape
    first = np.arange(min(EXPLAINED, count))
    in_turn = np.tile(first, width), candidates[first].T.reshape(-1)  # each batch has several
    every = _asked(context, *in_turn, task)
    if every is None or every.scores is None:
        return None, "none"
    scores = np.full(candidates.shape, np.nan)
    scores[first] = every.scores.reshape(width, -1).T
    rest = np.arange(len(first), count)
    if len(rest) and _tells(every, scores[first], candidates[first]):
        one = _asked(context, rest, candidates[rest, 0], f"{task} by feature", every.factor, _ALIKE)
        if one is not None and one.told is not None:
            known = np.isfinite(one.told).all(1)
            told = np.take_along_axis(one.told, candidates[rest], 1)
            scores[rest[known]] = told[known]
            rest = rest[~known]
    if len(rest):
        asked = np.repeat(rest, width), candidates[rest].reshape(-1)
        others = _asked(context, *asked, f"{task} of others", alike=_ALIKE)
        if others is None or others.scores is None:
            return None, "none"
        scores[rest] = others.scores.reshape(-1, width)
    return scores, every.how


def _tells(asked: _Asked, scores: Array, candidates: Array) -> bool:
    """Whether each explanation of a picture tells its scores for all of its candidates."""
    if asked.told is None:
        return False
    pictures, width = scores.shape
    told = asked.told.reshape(width, pictures, -1)
    told = np.take_along_axis(told, np.repeat(candidates[None], width, 0), 2)
    return bool(np.abs(told - scores).max() <= _ROUNDING * np.abs(scores).max())


def _asked(
    context: Context,
    picture: Array,
    classes: Array,
    task: str,
    factor: float | None = None,
    alike: str = "",
) -> _Asked | None:
    """The scores of some pictures with a class each, batch by batch; None where there are none.

    A feature has to explain them with the factor given, else with that of the first batch. With
    ``alike`` batches of a size are said to cost the same.
    """
    with torch.no_grad():
        texts = class_features(context, context.pristine_model, averaged=False)
    batches = {
        f"{alike.format(len(rows))}{task} from {rows[0]} to {rows[-1]}": rows.numpy()
        for rows in context.batches(len(picture))
    }

    def tasks(factor: float | None) -> dict[str, partial[_Asked]]:
        return {
            name: partial(_batch_scores, context, texts, picture[rows], classes[rows], factor)
            for name, rows in batches.items()
        }

    name, ask = next(iter(tasks(factor).items()))
    first = context.tasks.kept(name, _Asked, ask)
    if first.scores is None:  # nor will others have any
        return None
    told = partial(context.progress, "what the explainer executes, as a classifier")
    every = context.tasks.all_kept(
        _Asked, tasks(first.factor), lambda done: told(done, len(batches))
    )
    scores = [one.scores for one in every if one.scores is not None]
    if len(scores) < len(every):
        return None
    rows = [one.told for one in every if one.told is not None]
    if len(rows) < len(every):
        classes_told = len(context.pairs.classes)
        rows = [
            np.full((len(one.scores), classes_told), np.nan) if one.told is None else one.told
            for one in every
            if one.scores is not None
        ]
    return _Asked(every[-1].how, np.concatenate(scores), np.concatenate(rows), first.factor)


def _batch_scores(
    context: Context,
    texts: Float[Tensor, "classes e"],
    picture: Array,
    classes: Array,
    factor: float | None,
) -> _Asked:
    images = context.pairs.images[torch.from_numpy(picture)]
    images = images.to(device=context.model.device, dtype=context.model.dtype)
    targets = context.pairs.targets[torch.from_numpy(classes)].to(context.model.device)
    tap = ScoreTap(len(picture), texts.shape[-1])
    with Instrument(images.device, tap):
        explanation = run_explainer(context.audited, context.model.module, images, targets)
    scores, how = tap.scores, "gradient"
    if scores is None and explanation.scores is not None:
        scores, how = plain(explanation.scores).detach().flatten(), "returned"
    if scores is None:
        return _Asked(how, None, None)
    own = torch.from_numpy(classes).to(texts.device)
    told, factor = _told(scores, tap.features, texts, own, factor) or (None, np.nan)
    return _Asked(how, scores.double().cpu().numpy(), told, factor)


def _told(
    scores: Float[Tensor, " b"],
    features: Sequence[Float[Tensor, "b e"]],
    texts: Float[Tensor, "classes e"],
    classes: Tensor,
    factor: float | None,
) -> tuple[Array, float] | None:
    """Scores of all classes by the first feature whose own ones are the executed ones; the factor.

    The feature is compared as it is and at unit length, up to one factor for all pairs, such as a
    temperature: that of earlier batches, as a single pair has a factor for every feature.
    """
    wanted = scores.double()
    for feature in features:
        for one in (feature, functional.normalize(feature, dim=-1)):
            every = one.double() @ texts.double().T
            own = every.gather(1, classes[:, None])[:, 0]
            times = factor or float((own @ wanted) / (own @ own).clamp(min=1e-30))
            if bool((times * own - wanted).abs().max() <= _ROUNDING * wanted.abs().max()):
                return np.asarray((times * every).cpu().numpy()), times
    return None
