"""AttCAT: attentive class activation tokens."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import attention_pass, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface


def attcat(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    tokens: Literal["input", "output"] = "input",
    start: int = 0,
) -> Explanation:
    """AttCAT: each block's tokens times their gradient, weighed by the attention they receive.

    Map is sum over blocks of (h dS/dh, channels added) times the mean over heads and query rows of
    the attention to the token, signed.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        tokens: h is what enters a block, as in the released code, or what leaves it, as in the
            paper; what leaves the last block has no gradient at the patches of a model that reads
            the class token alone.
        start: number of the first block; a negative one counts from the end.

    Returns:
        Maps (pairs, rows, columns), signed, and the model's scores.

    Raises:
        ValueError: no such block.

    Source:
        Qiang et al., "AttCAT" (NeurIPS 2022), equations 6 to 9.
    """
    pairs = pairs_of(model, images, targets, interface)
    seen = attention_pass(pairs, pairs.block_number(start))
    states = seen.inputs if tokens == "input" else seen.outputs
    received = [widen(a.detach()).mean((1, 2)) for a in seen.attention]
    maps = widen(images).new_empty(len(images), *pairs.tower.grid)
    for mine, slopes in seen.gradients(*states):
        of = pairs.picture[mine]
        each = [
            (widen(h.detach())[of] * g).sum(-1) * weight[of]
            for h, g, weight in zip(states, slopes, received, strict=True)
        ]
        maps[mine] = pairs.on_grid(torch.stack(each).sum(0))
    return Explanation(maps, seen.scores.detach())
