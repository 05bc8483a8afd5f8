"""The proof that an edited model computes what the model under audit computes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.models.anatomy import anatomy_of

TOLERANCE: Mapping[torch.dtype, float] = {
    torch.float64: 1e-10,
    torch.float32: 1e-5,
    torch.float16: 2e-2,
    torch.bfloat16: 1e-1,
}


@torch.no_grad()
def proof(
    model: nn.Module,
    edited: nn.Module,
    images: Float[Tensor, "n 3 H W"],
    targets: Int[Tensor, "n ..."],
) -> float:
    """Largest absolute difference of the cosine scores of pairs under two models.

    The edit keeps the function where this is within `tolerance` of the model's dtype.

    Args:
        model: the model under audit.
        edited: its edited copy.
        images: preprocessed pictures.
        targets: of the pictures.
    """
    before = anatomy_of(model).scores(images, targets)
    return float((anatomy_of(edited).scores(images, targets) - before).abs().max())


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
