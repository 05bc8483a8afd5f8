"""Which of several texts or classes, that the model scored together, a score belongs to."""

from __future__ import annotations

import torch
from torch import Tensor

from audit.models.unwrapped_values import plain
from audit.trace.lineage import Anchor, Lineage
from audit.trace.observations import Run
from audit.trace.passes import Passes

_MOST = 4096
_SAME_DIRECTION = 1e-6  # of a cosine, below one
_LEAST_SCORE = 1e-3  # scores that are all smaller round as this one does


def narrowed(t: Tensor, lineage: Lineage, passes: Passes, scale: float) -> Lineage:
    """The lineage with only those texts whose features or scores these values are.

    Args:
        t: features of texts, or scores, logits or probabilities of pictures and targets.
        lineage: of ``t``.
        passes: the runs, with their features.
        scale: the model's logit scale.

    Returns:
        The same lineage where the values tell no choice among several texts.
    """
    texts = [a for a in lineage.anchors if a.tower == "text" and a.terminal]
    if (
        len(texts) != 1
        or not all(a.terminal for a in lineage.anchors)
        or not 0 < t.numel() <= _MOST
    ):
        return lineage
    run = passes.runs[texts[0].run]
    tokens, count = run.tokens, 0 if run.tokens is None else len(run.tokens)
    pictures = [a for a in lineage.anchors if a.tower == "image"]
    if passes.classes is not None:
        rows = _of_classes(t, run, pictures, passes) if count > 1 else []
    else:
        known = run.features
        if known is None or tokens is None or count != len(known) or count < 2:
            return lineage
        known = torch.nn.functional.normalize(known.double(), dim=-1)
        rows = _of_scores(t, known, pictures, passes, scale) if pictures else _of_features(t, known)
    if not rows or len(rows) == count:
        return lineage
    chosen = passes.runs.some_rows_of(run, tuple(rows))
    here = Anchor("text", texts[0].block, texts[0].site, texts[0].part, chosen.number)
    return lineage.replaced(texts[0], here)


def _of_features(t: Tensor, known: Tensor) -> list[int]:
    if t.ndim == 0 or t.shape[-1] != known.shape[1]:
        return []
    rows = torch.nn.functional.normalize(plain(t).double().reshape(-1, known.shape[1]), dim=-1)
    close = (rows @ known.T) > 1 - _SAME_DIRECTION
    return [] if not close.any(1).all() else close.any(0).nonzero().flatten().tolist()


def _of_scores(
    t: Tensor, known: Tensor, pictures: list[Anchor], passes: Passes, scale: float
) -> list[int]:
    found = [f for n in {a.run for a in pictures} if (f := passes.runs[n].features) is not None]
    if not found:
        return []
    cosines = torch.nn.functional.normalize(torch.cat(found).double(), dim=-1) @ known.T
    return _columns(t, (cosines,), scale * cosines, passes)


def _of_classes(t: Tensor, run: Run, pictures: list[Anchor], passes: Passes) -> list[int]:
    """Columns of the model's own scores, or of its outputs, one for each class."""
    runs = [passes.runs[n] for n in sorted({a.run for a in pictures})]
    for known in ([r.features for r in runs], [r.outputs for r in runs]):
        scores = [one.double() for one in known if one is not None and one.ndim == 2]
        if run.tokens is None or not scores or scores[0].shape[1] != len(run.tokens):
            continue
        if rows := _columns(t, (), torch.cat(scores)[:, run.tokens], passes):
            return rows
    return []


def _columns(
    t: Tensor, plain_scores: tuple[Tensor, ...], logits: Tensor, passes: Passes
) -> list[int]:
    """Columns that hold every value of a tensor, in the first kind of score that does."""
    values, tolerance = plain(t).double().flatten(), passes.of_features(t.dtype)
    for scores in (*plain_scores, logits, logits.softmax(-1), logits.log_softmax(-1)):
        near = tolerance * scores.abs().max().clamp(min=_LEAST_SCORE)
        close = ((values[:, None, None] - scores).abs() <= near).any(1)
        if close.any(1).all():
            return close.any(0).nonzero().flatten().tolist()
    return []
