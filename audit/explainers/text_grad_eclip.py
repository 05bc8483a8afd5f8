"""Grad-ECLIP of the text, as released, and its variants."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.contract import Explanation
from audit.explainers.eclip import Heads, Weight, head_count
from audit.explainers.last_block import widen
from audit.explainers.text_pass import TextPass, text_pairs_of, text_pass
from audit.models.model_under_audit import ModelInterface


def text_grad_eclip(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs context"],
    *,
    interface: ModelInterface | None = None,
    weight: Weight = "projected",
    heads: Heads = "released",
    blocks: int = 8,
) -> Explanation:
    """Grad-ECLIP of the text: channel gradients at the end of the text, over its last blocks.

    Token j has ReLU(sum over blocks of sum_c g_c v_jc lambda_j), g the gradient of the score at the
    mixed values of the end of the text, v the values and lambda the cosine of the end's query and
    the token's key, scaled to [0, 1] over all places of the context, padding as well. The result is
    divided by its sum, where it has one. The released code computes these blocks with one head, so
    the score explained is not the model's.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        weight: lambda from ``projected`` or ``raw`` queries and keys, or ``none`` (all 1).
        heads: ``released`` (one head) or the ``model``'s own.
        blocks: how many of the last, or all where there are fewer.

    Returns:
        Token maps (pairs, context), at least 0 and adding up to 1 or 0, 0 outside the text; even
        maps of the pictures; the scores explained.

    Raises:
        ValueError: no blocks.
        UnknownAnatomyError: the text tower is not known.

    Source:
        Zhao et al., "Gradient-based Visual Explanation for Transformer-based CLIP" (ICML 2024);
        official code `generate_emap.py`, `grad_eclip_text`.
    """
    if blocks < 1:
        raise ValueError(f"expected at least 1 block, got blocks={blocks}")
    pairs = text_pairs_of(model, images, targets, interface)
    start = max(0, len(pairs.tower.blocks) - blocks)
    seen = text_pass(pairs, start, head_count(heads))
    weights = [_weights(seen, number, weight) for number in range(len(seen.q))]
    found = widen(seen.q[0].detach()).new_empty(targets.shape)
    for mine, slopes in seen.gradients(*seen.mixed):
        of = pairs.text[mine]
        rows = torch.arange(len(of), device=of.device)
        each = [
            (widen(v.detach())[of] @ slope[rows, pairs.end[of], :, None])[..., 0] * scale[of]
            for v, slope, scale in zip(seen.v, slopes, weights, strict=True)
        ]
        found[mine] = torch.stack(each).sum(0).relu()
    found = found * pairs.content[pairs.text]
    total = found.sum(1, keepdim=True)
    return pairs.explanation(found / torch.where(total > 0, total, 1), seen.scores)


@torch.no_grad()
def _weights(seen: TextPass, number: int, weight: Weight) -> Float[Tensor, "texts context"]:
    pairs, q, k = seen.pairs, seen.q[number], seen.k[number]
    if weight == "none":
        return torch.ones_like(widen(q[..., 0]))
    if weight == "projected":
        block = pairs.tower.blocks[len(pairs.tower.blocks) - len(seen.q) + number]
        q, k = block.project(q), block.project(k)
    q, k = (functional.normalize(widen(z), dim=-1) for z in (q, k))
    cosine = (k @ pairs.at_end(q)[:, :, None])[..., 0]
    low, high = cosine.aminmax(dim=1, keepdim=True)
    return (cosine - low) / (high - low).clamp_min(torch.finfo(cosine.dtype).tiny)
