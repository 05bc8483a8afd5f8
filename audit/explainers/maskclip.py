"""MaskCLIP: patch features of the last block without its attention, against the text."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from audit.explainers.attention_pass import pairs_of
from audit.explainers.last_block import widen
from audit.models.model_under_audit import ModelInterface


@torch.no_grad()
def maskclip(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs ..."],
    *,
    interface: ModelInterface | None = None,
    attention: Literal["none", "model"] = "none",
    keys: bool = False,
) -> Float[Tensor, "pairs h w"]:
    """MaskCLIP: cosine of the text with each patch, whose last attention gives its own value.

    In the last block a patch takes its own value in the place of the attention's mix; residuals,
    MLP, final norm and projection follow as usual. What is shown is not the model's score.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        attention: ``none``, or that of the ``model``: then the map is the cosine of the text with
            the patch tokens that leave the model's own last block.
        keys: multiply with the cosine of the patch's key and the class token's, as the comparison
            in the released code of Grad-ECLIP does and the released MaskCLIP does not.

    Returns:
        Maps (pairs, rows, columns), signed, in [-1, 1].

    Source:
        Zhou, Loy and Dai, "Extract Free Dense Labels from CLIP" (ECCV 2022), section 3.2, without
        key smoothing and prompt denoising, which are off by default.
    """
    pairs = pairs_of(model, images, targets, interface)
    tower, block = pairs.tower, pairs.tower.blocks[-1]
    x = tower.run(tower.embed(pairs.images), 0, len(tower.blocks) - 1)
    q, k, v = block.qkv(block.normalize(x))
    mixed = block.mix_values(block.attention(q, k), v) if attention == "model" else v
    patches = pairs.patches(block.finish(x, block.project(mixed)).mT).mT
    features = pairs.features(patches.flatten(0, 1)).unflatten(0, patches.shape[:2])
    cosine = widen((features[pairs.picture] @ pairs.wanted[:, :, None])[..., 0])
    if keys:
        near = functional.cosine_similarity(widen(k[:, :1]), widen(k), dim=-1)
        cosine = cosine * pairs.patches(near)[pairs.picture]
    return pairs.on_grid(cosine)
