"""Grad-CAM as the released code of Grad-ECLIP compares itself with."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.last_block import score_gradient, widen
from audit.models.model_under_audit import ModelInterface


def released_grad_cam(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    interface: ModelInterface | None = None,
) -> Explanation:
    """Grad-CAM on what enters the last block, computed with one head.

    Channels are weighed by their gradient's mean over all tokens, the class token among them.

    Raises:
        UnknownAnatomyError: the inside of the model is not known.
        ValueError: the model reads no class token.

    Source:
        Official code of Grad-ECLIP, `generate_emap.py`, `grad_cam`.
    """
    pairs = pairs_of(model, images, targets, interface)
    tower, block = pairs.tower, pairs.tower.blocks[-1]
    x = tower.run(tower.embed(pairs.images), 0, len(tower.blocks) - 1)

    def scores(entering: Float[Tensor, "pairs tokens width"]) -> Float[Tensor, " pairs"]:
        q, k, v = block.qkv(block.normalize(entering))
        mixed = block.mix_values(block.attention(q, k, heads=1), v)
        left = block.finish(entering, block.project(mixed))
        return (pairs.features(left[:, 0]) * pairs.wanted).sum(-1)

    explained, slope = score_gradient(scores, x[pairs.picture])
    weights = widen(slope).mean(1, keepdim=True)
    relevance = (weights * widen(x.detach())[pairs.picture]).sum(-1)
    return Explanation(pairs.on_grid(relevance.relu()), explained)
