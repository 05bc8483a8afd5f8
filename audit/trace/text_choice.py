"""Which of several texts, that went through the model together, a score belongs to."""

from __future__ import annotations

import torch
from torch import Tensor

from audit.models.unwrapped_values import plain
from audit.trace.lineage import Anchor, Lineage
from audit.trace.passes import Passes

_MOST = 4096


def narrowed(t: Tensor, lineage: Lineage, passes: Passes, scale: float) -> Lineage:
    """The lineage with only those texts whose features or scores these values are.

    Args:
        t: features of texts, or cosines, logits or probabilities of pictures and texts.
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
    known, tokens = run.features, run.tokens
    if known is None or tokens is None or len(tokens) != len(known) or len(known) < 2:
        return lineage
    known = torch.nn.functional.normalize(known.double(), dim=-1)
    pictures = [a for a in lineage.anchors if a.tower == "image"]
    rows = _of_scores(t, known, pictures, passes, scale) if pictures else _of_features(t, known)
    if not rows or len(rows) == len(known):
        return lineage
    chosen = passes.runs.some_rows_of(run, tuple(rows))
    here = Anchor("text", texts[0].block, texts[0].site, texts[0].part, chosen.number)
    return lineage.replaced(texts[0], here)


def _of_features(t: Tensor, known: Tensor) -> list[int]:
    if t.ndim == 0 or t.shape[-1] != known.shape[1]:
        return []
    rows = torch.nn.functional.normalize(plain(t).double().reshape(-1, known.shape[1]), dim=-1)
    close = (rows @ known.T) > 1 - 1e-6
    return [] if not close.any(1).all() else close.any(0).nonzero().flatten().tolist()


def _of_scores(
    t: Tensor, known: Tensor, pictures: list[Anchor], passes: Passes, scale: float
) -> list[int]:
    found = [f for n in {a.run for a in pictures} if (f := passes.runs[n].features) is not None]
    if not found:
        return []
    cosines = torch.nn.functional.normalize(torch.cat(found).double(), dim=-1) @ known.T
    values, tolerance = plain(t).double().flatten(), passes.of_features(t.dtype)
    logits = scale * cosines
    for scores in (cosines, logits, logits.softmax(-1), logits.log_softmax(-1)):
        near = tolerance * scores.abs().max().clamp(min=1e-3)
        close = ((values[:, None, None] - scores).abs() <= near).any(1)
        if close.any(1).all():
            return close.any(0).nonzero().flatten().tolist()
    return []
