"""The proof that an edited model computes what the model under audit computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.interventions.copies import copy_with
from audit.interventions.function_preserving.layer_edits import LayerEdit, layer_replacements
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy

TOLERANCE: Mapping[torch.dtype, float] = {
    torch.float64: 1e-10,
    torch.float32: 1e-5,
    torch.float16: 2e-2,
    torch.bfloat16: 1e-1,
}


@torch.no_grad()
def proof(
    model: ModelUnderAudit,
    edited: nn.Module,
    images: Float[Tensor, "n 3 H W"],
    targets: Int[Tensor, "n ..."],
) -> float:
    """Largest difference of the scores of pairs under two models.

    Scores above 1, such as logits, are measured in units of the largest of them. The edit keeps
    the function where the difference is within `tolerance` of the model's dtype.

    Args:
        model: the model under audit.
        edited: an edited copy of its module.
        images: preprocessed pictures.
        targets: of the pictures.
    """
    before = model.score(images, targets)
    change = (model.with_module(edited).score(images, targets) - before).abs().max()
    return float(change / before.abs().max().clamp(min=1.0))


def proven(
    model: ModelUnderAudit,
    edit: LayerEdit,
    images: Float[Tensor, "n 3 H W"],
    targets: Int[Tensor, "n ..."],
) -> LayerEdit | None:
    """The edit on those of its layers where it keeps the scores, in float64; None where on none.

    Which layers feed one another is read off the code, which may do with them what is not seen.
    """
    double = model.with_module(pristine_copy(model.module).double())
    inputs = images.double(), targets

    def holds(one: LayerEdit) -> bool:
        edited = copy_with(double.module, layer_replacements(double.module, one))
        return proof(double, edited, *inputs) <= TOLERANCE[torch.float64]

    if holds(edit):
        return edit
    pairs = tuple(one.pairs[0] for one in edit.alone() if holds(one))[::-1]
    return replace(edit, pairs=pairs) if pairs else None


def tolerance(dtype: torch.dtype) -> float:
    """Score difference that rounding explains: the weights are rounded to the dtype once more.

    float64 1e-10, float32 1e-5, float16 2e-2, bfloat16 1e-1; half-precision checkpoints should be
    up-cast before their invariance is judged.

    Raises:
        ValueError: for a dtype that no model computes in.
    """
    if dtype not in TOLERANCE:
        raise ValueError(f"expected a floating dtype, got {dtype}")
    return TOLERANCE[dtype]
