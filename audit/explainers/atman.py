"""AtMan: drop of the score when all blocks look less at a patch."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import Pairs, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.probed_features import probed_features
from audit.models.model_under_audit import ModelInterface


@torch.no_grad()
def atman(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    factor: float = 0.1,
) -> Explanation:
    """AtMan: drop of the score when every block's attention to a patch is suppressed.

    In each block and head the logits of each row, less the smallest of the row, are multiplied by
    the factor at the patch's key before the softmax. Suppressed features are computed once for each
    distinct picture. Tokens are suppressed one at a time, not together with those alike.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        factor: on the logits of the suppressed key; 1 leaves the model as it is.

    Returns:
        Maps (pairs, rows, columns), signed, in units of the score, and the model's scores.

    Source:
        Deb et al., "AtMan: Understanding Transformer Predictions Through Memory Efficient Attention
        Manipulation" (NeurIPS 2023), equations 3 and 5, on the cosine in the place of the loss.
    """
    pairs = pairs_of(model, images, targets, interface)
    tower = pairs.tower
    x = tower.embed(pairs.images)
    scores = pairs.scores(tower.run(x, 0, len(tower.blocks)))
    places = pairs.patches(torch.arange(x.shape[1], device=x.device))
    features = probed_features(
        lambda tokens: tokens,
        lambda of, number: _suppressed(pairs, x[of], places[number], factor),
        len(x),
        len(places),
        x.device,
    )
    left = torch.einsum("pne,pe->pn", features[pairs.picture], pairs.wanted)
    return Explanation(pairs.on_grid(widen(scores[:, None] - left)), scores)


def _suppressed(
    pairs: Pairs,
    x: Float[Tensor, "rows tokens width"],
    place: Int[Tensor, " rows"],
    factor: float,
) -> Float[Tensor, "rows feature"]:
    """Features of pictures of which one token is looked at less."""
    weights = torch.ones_like(x[:, :, 0])
    weights[torch.arange(len(x), device=x.device), place] = factor
    for block in pairs.tower.blocks:
        q, k, v = block.qkv(block.normalize(x))
        logits = block.attention_logits(q, k)
        logits = (logits - logits.amin(-1, keepdim=True)) * weights[:, None, None]
        mixed = block.mix_values(logits.softmax(-1), v)
        x = block.finish(x, block.project(mixed))
    return pairs.features(x[:, 0])
