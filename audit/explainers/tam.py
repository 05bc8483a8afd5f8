"""TAM: attention as a Markov chain, times the integrated gradient of the last attention."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import Pairs, attention_pass, attentions_of, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface


def tam(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    start: int = 0,
    steps: int = 20,
) -> Explanation:
    """TAM: attention of the pooled token carried back through blocks, times integrated gradients.

    The state begins as the pooled token's row of the last block's attention, mean over heads; at
    each earlier block it becomes s + s A. It is multiplied with the mean over heads of the positive
    part of dS/dA of the last block, averaged over pictures on the way from the mean color.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        start: number of the block at which the chain ends; a negative one counts from the end. The
            released experiments take 4 of 12.
        steps: points of the way, both ends among them, so at least 2.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the model's scores.

    Raises:
        ValueError: no such block, or fewer than 2 steps.

    Source:
        Yuan et al., "Explaining Information Flow Inside Vision Transformers Using Markov Chain"
        (2021), equations 5 to 8; released code `generate_transition_attention_maps`.
    """
    if steps < 2:
        raise ValueError(f"expected at least 2 steps, both ends of the way, got steps={steps}")
    pairs = pairs_of(model, images, targets, interface)
    first = pairs.block_number(start)
    attention = [a.mean(1) for a in attentions_of(pairs)]
    state = pairs.pooled_row(attention[-1])
    for a in reversed(attention[first:-1]):
        state = state + (state[:, None] @ a)[:, 0]
    slopes: Tensor | None = None
    for share in torch.linspace(0, 1, steps).tolist():
        slope, scores = _slopes(replace(pairs, images=pairs.images * share))
        slopes = slope / steps if slopes is None else slopes + slope / steps
    assert slopes is not None  # noqa: S101 - there is a step
    weights = slopes.relu().mean(1)
    return Explanation(pairs.on_grid(state[pairs.picture] * weights), scores)


def _slopes(
    pairs: Pairs,
) -> tuple[Float[Tensor, "pairs heads tokens"], Float[Tensor, " pairs"]]:
    """Gradient of the score by the pooled token's row of the last attention, and the score."""
    seen = attention_pass(pairs, len(pairs.tower.blocks) - 1)
    a = seen.attention[0]
    found = widen(a.detach()).new_empty(len(pairs.picture), a.shape[1], a.shape[-1])
    for mine, (slope,) in seen.gradients(a):
        found[mine] = pairs.pooled_row(slope)
    return found, seen.scores.detach()
