"""Gradient of the score by the embedding of each token of the text."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.text_pass import text_pairs_of
from audit.explainers.turns import gradients_in_turns
from audit.models.model_under_audit import ModelInterface


def text_gradient(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs context"],
    *,
    interface: ModelInterface | None = None,
    value: Literal["length", "product"] = "length",
) -> Explanation:
    """Gradient of the score by each token's embedding, its length or its product with it.

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        value: Euclidean ``length`` of the gradient, or its ``product`` with the embedding, channels
            added.

    Returns:
        Token maps (pairs, context), at least 0 or signed, 0 outside the text; even maps of the
        pictures; the model's scores.

    Raises:
        UnknownAnatomyError: the text tower is not known.

    Source:
        Simonyan, Vedaldi and Zisserman (ICLR Workshops 2014), by embeddings in the place of pixels.
    """
    pairs = text_pairs_of(model, images, targets, interface)
    embeddings = widen(pairs.embeddings())
    with torch.enable_grad():
        x = pairs.tower.embed(pairs.tokens).detach().requires_grad_()
        scores = pairs.run(x)
    found = embeddings.new_empty(targets.shape)
    for mine, (slope,) in gradients_in_turns(scores, [x], pairs.text):
        if value == "length":
            found[mine] = widen(slope).norm(dim=-1)
        else:
            found[mine] = (widen(slope) * embeddings[pairs.text[mine]]).sum(-1)
    return pairs.explanation(found, scores)
