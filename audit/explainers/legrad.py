"""LeGrad: positive gradients of each block's own score by its attention."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import (
    AttentionPass,
    Pairs,
    attention_pass,
    pairs_of,
)
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.turns import gradients_in_turns
from audit.models.model_under_audit import ModelInterface


def legrad(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    start: int = -2,
    score: Literal["released", "model"] = "released",
) -> Explanation:
    """LeGrad: positive gradient by attention, mean over heads and query rows, added over blocks.

    Map is sum over blocks l of the mean over heads and rows of ReLU(ds_l/dA_l), in the column of
    each patch. As released, s_l is the cosine of the target with the feature that the mean of all
    tokens leaving block l would have, which is not the score of a model that reads the class token.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        start: number of the first block; a negative one counts from the end. The released code
            takes the last two.
        score: the ``released`` one of each block, or the ``model``'s for all blocks.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the scores explained: of the last block.

    Raises:
        ValueError: no such block.

    Source:
        Bousselham et al., "LeGrad" (ICCV 2025), equations 5 to 8; released code `wrapper.py`.
    """
    pairs = pairs_of(model, images, targets, interface)
    seen = attention_pass(pairs, pairs.block_number(start))
    if score == "model":
        return Explanation(_of_the_model(seen, images), seen.scores.detach())
    total = widen(images).new_zeros(len(images), *pairs.tower.grid)
    for a, output in zip(seen.attention, seen.outputs, strict=True):
        with torch.enable_grad():
            scores = released_scores(pairs, output)
        for mine, (slope,) in gradients_in_turns(scores, [a], pairs.picture):
            total[mine] += pairs.on_grid(widen(slope).relu().mean((1, 2)))
    return Explanation(total, scores.detach())


def released_scores(
    pairs: Pairs, output: Float[Tensor, "pictures tokens width"]
) -> Float[Tensor, " pairs"]:
    """The score that the released code gives a block: of the mean of the tokens that leave it."""
    return (pairs.features(output.mean(1))[pairs.picture] * pairs.wanted).sum(-1)


def _of_the_model(seen: AttentionPass, images: Tensor) -> Float[Tensor, "pairs h w"]:
    maps = widen(images).new_empty(len(images), *seen.pairs.tower.grid)
    for mine, slopes in seen.gradients(*seen.attention):
        each = torch.stack([slope.relu().mean((1, 2)) for slope in slopes])
        maps[mine] = seen.pairs.on_grid(each.sum(0))
    return maps
