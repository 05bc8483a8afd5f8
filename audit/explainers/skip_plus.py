"""SkipPLUS: attributions of the later blocks, added."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import AttentionPass, attention_pass, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface


def skip_plus(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    attribution: Literal["cat", "attcat", "attention"] = "attcat",
    start: int | None = None,
) -> Explanation:
    """SkipPLUS: an attribution of each block, added over the second half of the blocks.

    The attribution of a block is h dS/dh of the tokens h that enter it, channels added (``cat``),
    the same times the mean attention that a token receives (``attcat``), or the mean over heads of
    the pooled token's row of A ReLU(dS/dA) (``attention``).

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        attribution: of each block.
        start: number of the first block; a negative one counts from the end; default half of the
            way. With 0, ``attcat`` is AttCAT and ``attention`` as many times Grad-SAM as there are
            blocks.

    Returns:
        Maps (pairs, rows, columns), signed but for ``attention``, and the model's scores.

    Raises:
        ValueError: no such block.

    Source:
        Mehri et al., "SkipPLUS: Skip the First Few Layers to Better Explain Vision Transformers"
        (CVPR Workshops 2024); the half of the blocks and the sum as in later code of its author,
        as the paper's text was not at hand.
    """
    pairs = pairs_of(model, images, targets, interface)
    first = len(pairs.tower.blocks) // 2 if start is None else pairs.block_number(start)
    seen = attention_pass(pairs, first)
    maps = widen(images).new_empty(len(images), *pairs.tower.grid)
    for mine, slopes in seen.gradients(*seen.inputs, *seen.attention):
        by_tokens, by_attention = slopes[: len(seen.inputs)], slopes[len(seen.inputs) :]
        if attribution == "attention":
            added = _of_attention(seen, by_attention, pairs.picture[mine])
        else:
            weighed = attribution == "attcat"
            added = _of_tokens(seen, by_tokens, pairs.picture[mine], weighed=weighed)
        maps[mine] = pairs.on_grid(added)
    return Explanation(maps, seen.scores.detach())


def _of_tokens(
    seen: AttentionPass, slopes: tuple[Tensor, ...], of: Int[Tensor, " some"], *, weighed: bool
) -> Float[Tensor, "some tokens"]:
    each = []
    for h, a, slope in zip(seen.inputs, seen.attention, slopes, strict=True):
        cat = (widen(h.detach())[of] * slope).sum(-1)
        each.append(cat * widen(a.detach()).mean((1, 2))[of] if weighed else cat)
    return torch.stack(each).sum(0)


def _of_attention(
    seen: AttentionPass, slopes: tuple[Tensor, ...], of: Int[Tensor, " some"]
) -> Float[Tensor, "some tokens"]:
    row = seen.pairs.pooled_row
    each = [
        (row(widen(a.detach())[of]) * row(slope).relu()).mean(1)
        for a, slope in zip(seen.attention, slopes, strict=True)
    ]
    return torch.stack(each).sum(0)
