"""CLIP Surgery: patch features of a second path with value-value attention, against the texts."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.attention_pass import Pairs, pairs_of
from audit.explainers.contract import Explanation
from audit.explainers.distinct import target_features
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface
from audit.models.module_interface import interface_of

SHARPNESS = 2.0


@torch.no_grad()
def clip_surgery(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    blocks: int = 6,
    features: Literal["surgery", "plain"] = "surgery",
    classes: Int[Tensor, "classes ..."] | None = None,
) -> Explanation:
    """CLIP Surgery: similarity of the text with patches of a path of value-value attention.

    Over the last blocks a second path adds only softmax(v v / sqrt d) v, projected, to the tokens,
    without MLP; queries of texts and the class token come from the model's own path. From the
    product of patch and text, channel by channel, what all texts share is subtracted.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        blocks: how many blocks, at the end, have the second path; all where there are fewer.
        features: subtract what all classes share (``surgery``), or show the cosine (``plain``).
        classes: the targets of all classes, among which the pair's own is counted once; without
            them what is shared cannot be told, and the cosine is shown.

    Returns:
        Maps (pairs, rows, columns), signed, and the model's scores: the class token is its own.

    Raises:
        ValueError: fewer than one block.

    Source:
        Li et al., "A Closer Look at the Explainability of Contrastive Language-Image Pre-training"
        (2023; CLIP Surgery), sections 3.2 and 3.3; released `clip_feature_surgery`.
    """
    if blocks < 1:
        raise ValueError(f"expected at least 1 block, got blocks={blocks}")
    pairs = pairs_of(model, images, targets, interface)
    own, new = two_paths(pairs, blocks)
    tokens = torch.cat([own[:, :1], pairs.patches(new.mT).mT], 1)
    found = pairs.features(tokens.flatten(0, 1)).unflatten(0, tokens.shape[:2])
    summary, patches = widen(found[:, 0])[pairs.picture], widen(found[:, 1:])[pairs.picture]
    wanted = widen(pairs.wanted)
    scores = (summary * wanted).sum(-1)
    direction = wanted
    if features == "surgery" and classes is not None:
        every = widen(target_features(interface or interface_of(model), model, classes))
        direction = torch.stack(
            [
                distinctive(s, w, every[~(c == classes).reshape(len(classes), -1).all(1)])
                for s, w, c in zip(summary, wanted, targets, strict=True)
            ]
        )
    return Explanation(pairs.on_grid((patches @ direction[:, :, None])[..., 0]), scores)


def two_paths(
    pairs: Pairs, blocks: int
) -> tuple[Float[Tensor, "pictures tokens width"], Float[Tensor, "pictures tokens width"]]:
    """Tokens that leave the last block on the model's own path, and on the second one."""
    tower = pairs.tower
    first = max(0, len(tower.blocks) - blocks)
    own = tower.run(tower.embed(pairs.images), 0, first)
    new = own
    for block in tower.blocks[first:]:
        q, k, v = block.qkv(block.normalize(own))
        alike = block.mix_values(block.attention(v, v), v)
        new = new + block.scaled(block.project(alike), block.names.attention_scales)
        own = block.finish(own, block.project(block.mix_values(block.attention(q, k), v)))
    return own, new


def distinctive(
    summary: Float[Tensor, " feature"],
    wanted: Float[Tensor, " feature"],
    others: Float[Tensor, "others feature"],
) -> Float[Tensor, " feature"]:
    """What a text asks of a patch, less the mean over all texts, each weighed by its likelihood.

    A text's weight is its softmax probability, at a sharpness of 2, over the mean probability.
    """
    texts = torch.cat([wanted[None], others])
    chance = (SHARPNESS * texts @ summary).softmax(0)
    weighed = texts * (chance / chance.mean())[:, None]
    return weighed[0] - weighed.mean(0)
