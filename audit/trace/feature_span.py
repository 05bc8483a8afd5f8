"""Features of the model, and what is no longer one: mixed with strange values, or cut."""

from __future__ import annotations

import torch
from torch import Tensor

from audit.models.unwrapped_values import plain
from audit.trace.lineage import Lineage
from audit.trace.operations import CUTTING, MIXING
from audit.trace.passes import Passes

_LINEAR = (
    MIXING
    | CUTTING
    | frozenset(
        [
            "roll",
            "flip",
            "masked_fill",
            "masked_fill_",
            "dropout",
            "native_dropout",
            "relu",
            "clamp",
            "gather",
        ]
    )
)
_CONTRACTING = MIXING
_NOTHING = 1e-12  # length of a row that is in every span


def is_strange(
    name: str, out: Tensor, tensors: list[Tensor], inherited: Lineage, passes: Passes
) -> bool:
    """Whether a call makes something of a feature that is no function of the model's features.

    Scaling, sums, differences and means of features stay in their span. Strange values mixed in,
    and channels cut off, permuted or weighed, leave it. Whatever is made of the logits of a class
    head is a function of the model's outputs.

    Args:
        name: of the torch call.
        out: its result.
        tensors: its operands.
        inherited: lineage of the operands.
        passes: the runs, with their features.
    """
    anchors, width = inherited.anchors, passes.feature_width
    if (
        passes.classes is not None
        or not anchors
        or not all(a.terminal for a in anchors)
        or out.ndim == 0
    ):
        return False
    if not any(t.ndim and t.shape[-1] == width for t in tensors):
        return False
    both = len({a.tower for a in anchors}) > 1
    strangers = [t for t in tensors if _is_stranger(t, width, passes)] if name in MIXING else []
    if any(not (both and _chooses(t)) for t in strangers):
        return True
    if both:
        scored = tensors if name in _CONTRACTING else []
        return any(_leaves_span(t, width, passes) for t in scored)
    return name in _LINEAR and _leaves_as_result(name, out, tensors, inherited, passes)


def _leaves_as_result(
    name: str, out: Tensor, tensors: list[Tensor], inherited: Lineage, passes: Passes
) -> bool:
    """Whether a linear call on features of one tower gives something out of their span."""
    width = passes.feature_width
    own = [t for t in tensors if t.ndim and t.shape[-1] == width and t in passes.lineages]
    if "mul" in name and len(own) > 1:  # squares, for a norm
        return False
    if name in CUTTING and 1 < out.shape[-1] < width:
        return _cut(out, tensors, width)
    return out.shape[-1] == width and not _in_span(out, inherited, passes)


def _leaves_span(t: Tensor, width: int, passes: Passes) -> bool:
    """Whether an operand of a score comes from one tower's features and is none of their sums."""
    lineage = passes.lineages.get(t)
    if len({a.tower for a in lineage.anchors}) != 1 or t.ndim == 0:
        return False
    if t.shape[-1] != width and t.ndim > 1 and t.shape[-2] == width:
        t = t.mT
    return t.shape[-1] == width and not _in_span(t, lineage, passes)


def _is_stranger(t: Tensor, width: int, passes: Passes) -> bool:
    fits = t.is_floating_point() and t.numel() > 1 and t.ndim > 0 and t.shape[-1] == width
    return fits and passes.lineages.get(t).empty


def _chooses(t: Tensor) -> bool:
    """Whether every row is one-hot: it chooses among as many scores as features have channels."""
    values = plain(t)
    return bool(((values != 0).sum(-1) == 1).all())


def _cut(out: Tensor, tensors: list[Tensor], width: int) -> bool:
    """Whether the last axis was cut."""
    return tensors[0].shape[-1] == width and out.ndim == tensors[0].ndim


def _in_span(out: Tensor, inherited: Lineage, passes: Passes) -> bool:
    numbers = {a.run for a in inherited.anchors}
    known = [f for n in numbers if (f := passes.runs[n].features) is not None]
    rows = plain(out).double().reshape(-1, out.shape[-1])
    if not known or not torch.isfinite(rows).all():
        return True
    basis = torch.cat(known).double()
    if len(basis) >= basis.shape[1]:
        return True
    directions = torch.linalg.qr(basis.T).Q
    rest = rows - rows @ directions @ directions.T
    tolerance = passes.of_features(out.dtype)
    return bool((rest.norm(dim=-1) <= tolerance * rows.norm(dim=-1) + _NOTHING).all())
