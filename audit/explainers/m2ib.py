"""M2IB: what a noisy bottleneck within the image tower must let pass."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.attention_pass import Pairs, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.distinct import distinct_rows
from audit.explainers.last_block import widen
from audit.explainers.released_text import released_text_features
from audit.models.model_under_audit import ModelInterface

START, RATE = 5.0, 1.0


def m2ib(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    block: int | None = None,
    beta: float = 0.1,
    steps: int = 10,
    copies: int = 10,
    text: Literal["model", "released"] = "model",
    seed: int = 0,
) -> Explanation:
    """M2IB: information that a bottleneck after a block lets pass, to keep the score high.

    Each value z of the tokens that leave a block is replaced by a z + (1 - a) e, e normal noise and
    a = sigmoid(w), w from 5. Adam (rate 1) lowers beta times the mean divergence of the bottleneck
    from pure noise less the mean score over noisy copies. The map is the divergence, channels
    added. All pairs share the draws.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        block: number of the block, after which the bottleneck stands; a negative one counts from
            the end; default three quarters of the way, as 9 of 12.
        beta: weight of the divergence.
        steps: of Adam.
        copies: noisy copies of a pair at each step.
        text: feature of the text by the ``model``, or by the wrapper ``released`` for OpenAI's CLIP
            (see `audit.explainers.released_text`).
        seed: of the noise.

    Returns:
        Maps (pairs, rows, columns), at least 0, and the scores explained.

    Raises:
        ValueError: no such block, no steps or copies, or the released text cannot be computed.

    Source:
        Wang, Rudner and Wilson, "Visual Explanations of Image-Text Representations via Multi-Modal
        Information Bottleneck Attribution" (NeurIPS 2023), section 4; released code `iba.py`.
    """
    if steps < 1 or copies < 1:
        raise ValueError(f"expected steps and copies of at least 1, got {steps} and {copies}")
    pairs = pairs_of(model, images, targets, interface)
    if text == "released":
        kinds = distinct_rows(targets)
        wanted = released_text_features(model, targets[kinds.first])[kinds.of]
        pairs = Pairs(pairs.tower, pairs.images, pairs.picture, wanted)
    tower = pairs.tower
    last = len(tower.blocks) - 1
    number = max(0, min(3 * (last + 1) // 4, last - 1)) if block is None else block
    after = pairs.block_number(number, "block") + 1
    with torch.no_grad():
        z = tower.run(tower.embed(pairs.images), 0, after)
        scores = pairs.scores(tower.run(z, after, len(tower.blocks)))
    divergence = _optimized(pairs, z, after, beta, steps, copies, seed)
    return Explanation(pairs.on_grid(divergence.sum(-1)), scores)


def _optimized(
    pairs: Pairs,
    z: Float[Tensor, "pictures tokens width"],
    after: int,
    beta: float,
    steps: int,
    copies: int,
    seed: int,
) -> Float[Tensor, "pairs tokens width"]:
    """The divergence of each value at the last step, before its update."""
    tower = pairs.tower
    z = z[pairs.picture]
    generator = torch.Generator().manual_seed(seed)
    gate = torch.full_like(widen(z), START).requires_grad_()
    adam = torch.optim.Adam([gate], lr=RATE)
    found = torch.zeros_like(gate)
    for _ in range(steps):
        with torch.enable_grad():
            kept, lost = gate.sigmoid(), (-gate).sigmoid()
            divergence = 0.5 * ((kept * z).square() + lost.square() - 1) - lost.log()
            loss = (beta * divergence.mean((1, 2))).sum()
            (slope,) = torch.autograd.grad(loss, gate, retain_graph=True)
            for noise in torch.randn(copies, *z.shape[1:], generator=generator).to(z):
                mixed = (kept * z + lost * noise).to(z.dtype)
                tokens = tower.run(mixed, after, len(tower.blocks))
                features = pairs.features(tokens[:, 0])
                each = functional.cosine_similarity(features, pairs.wanted, dim=-1)
                (part,) = torch.autograd.grad(-each.sum() / copies, gate, retain_graph=True)
                slope = slope + part
        found = divergence.detach()
        gate.grad = slope
        adam.step()
    return found
