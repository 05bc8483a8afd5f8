"""Text features as the wrapper released with M2IB computes them for OpenAI's CLIP."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.models.anatomy import Tower, UnknownAnatomyError, anatomy_of


@torch.no_grad()
def released_text_features(
    model: nn.Module, tokens: Int[Tensor, "texts context"]
) -> Float[Tensor, "texts feature"]:
    """Features of texts by another function than the model's.

    The wrapper takes the causal mask away, pools the last position in the place of the end of the
    text, and projects twice.

    Raises:
        UnknownAnatomyError: a text tower of another kind than open_clip's own.
        ValueError: the projection cannot be applied twice, as its sides differ.

    Source:
        Released code of M2IB, `scripts/clip_wrapper.py`, for models of OpenAI's package; models of
        Hugging Face take another path without these three differences.
    """
    tower = anatomy_of(model).text
    if not isinstance(tower, Tower):
        raise UnknownAnatomyError(
            f"expected open_clip's own text tower, for which the wrapper was released, got that of "
            f"{type(model).__name__}; choose text=model"
        )
    projection = tower.projection
    matrix = projection.weight.T if isinstance(projection, nn.Linear) else projection
    if matrix is None or matrix.shape[0] != matrix.shape[1]:
        shape = "none" if matrix is None else tuple(matrix.shape)
        raise ValueError(
            "expected a square text projection, which the released wrapper applies twice, got "
            f"{shape}; choose text=model"
        )
    x = tower.embed(tokens)
    for block in tower.blocks:
        q, k, v = block.qkv(block.normalize(x))
        x = block.finish(x, block.project(block.mix_values(block.attention(q, k), v)))
    return functional.normalize(tower.readout(x[:, -1]) @ matrix, dim=-1)
