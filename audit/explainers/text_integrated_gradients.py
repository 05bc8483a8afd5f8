"""Integrated gradients of the tokens of the text."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.text_pass import text_pairs_of
from audit.explainers.turns import gradients_in_turns
from audit.models.model_under_audit import ModelInterface

PADDING = 0


def text_integrated_gradients(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs context"],
    *,
    interface: ModelInterface | None = None,
    steps: int = 50,
) -> Explanation:
    """Integrated gradients of the tokens, from padding in the place of each: channels added.

    Start and end of the text stay. Values add up to the score less that of the text whose tokens
    are padding, up to the quadrature (Gauss-Legendre).

    Args:
        model: the model under audit.
        images: preprocessed pictures.
        targets: token ids.
        interface: how the model is called.
        steps: points of the quadrature.

    Returns:
        Token maps (pairs, context), signed, 0 outside the text; even maps of the pictures; the
        model's scores.

    Raises:
        ValueError: fewer than one step.
        UnknownAnatomyError: the text tower is not known.

    Source:
        Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks" (ICML 2017), by
        embeddings as in its section on texts.
    """
    if steps < 1:
        raise ValueError(f"expected at least 1 step, got steps={steps}")
    pairs = text_pairs_of(model, images, targets, interface)
    whole = pairs.tower.embed(pairs.tokens).detach()
    padded = pairs.tower.embed(pairs.tokens.masked_fill(pairs.content, PADDING)).detach()
    with torch.no_grad():
        scores = pairs.run(whole)
    found = widen(whole).new_zeros(targets.shape)
    for point, weight in zip(*np.polynomial.legendre.leggauss(steps), strict=True):
        with torch.enable_grad():
            x = (padded + float(point + 1) / 2 * (whole - padded)).requires_grad_()
            here = pairs.run(x)
        for mine, (slope,) in gradients_in_turns(here, [x], pairs.text):
            way = widen(whole - padded)[pairs.text[mine]]
            found[mine] += float(weight) / 2 * (widen(slope) * way).sum(-1)
    return pairs.explanation(found, scores)
