"""Models on which maps are compared to rounding: in double precision, and with other weights."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from audit.data.pairs import Pairs
from audit.evidence.context import batch_size_for, on_grid
from audit.explainers.contract import Explainer, run_explainer
from audit.interventions.model_parts import parts_of
from audit.interventions.randomizing import cascade
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy_in


def in_double_precision(model: ModelUnderAudit) -> ModelUnderAudit:
    """A copy of the model in float64."""
    copied = pristine_copy_in(model.module, torch.float64)
    return replace(model, module=copied, dtype=torch.float64)


def with_drawn_weights(model: ModelUnderAudit, pairs: Pairs, seed: int) -> ModelUnderAudit:
    """A model of the same architecture, every weight of both towers drawn anew.

    What algebra says of two explainers holds on it as well.

    Args:
        model: the model, left as it is.
        pairs: of the data, which say how a score is computed.
        seed: of the draw.
    """
    images, targets = pairs.batch(torch.tensor([0]), model.device, model.dtype)
    parts = parts_of(model, images, targets)
    last = model.module
    for stage in cascade(last, parts.image, seed, "image"):
        last = stage.model
    if parts.text:
        for stage in cascade(last, parts.text, seed, "text"):
            last = stage.model
    return model.with_module(last)


def explains_tokens(explainer: Explainer, model: ModelUnderAudit, pairs: Pairs) -> bool:
    """Whether the map of the first pair is one of the text's tokens, and even on the picture."""
    if explainer.explains_text:
        return True
    if pairs.targets.ndim == 1:
        return False
    images, targets = pairs.batch(torch.tensor([0]), model.device, model.dtype)
    found = run_explainer(explainer, model.module, images, targets)
    return found.token_maps is not None and bool((found.maps == found.maps[:, :1, :1]).all())


def compared_maps(
    explainer: Explainer, model: ModelUnderAudit, pairs: Pairs, *, tokens: bool
) -> Float[Tensor, "pairs places"]:
    """Maps of all pairs on one model, a row each, on the CPU.

    Args:
        explainer: the explainer.
        model: that is explained.
        pairs: the pairs.
        tokens: maps of the tokens, in the place of those of the picture, on the patch grid.

    Raises:
        ValueError: there are no maps of tokens.
    """
    parts = []
    for batch in torch.arange(len(pairs)).split(batch_size_for(model)):
        images, targets = pairs.batch(batch, model.device, model.dtype)
        found = run_explainer(explainer, model.module, images, targets)
        if not tokens:
            parts.append(on_grid(found.maps, model.patch_grid).flatten(1).cpu())
        elif found.token_maps is None:
            raise ValueError(
                f"explainer '{explainer.name}': expected token_maps beside an even map, as before, "
                "found none; return them at every call or at none"
            )
        else:
            parts.append(found.token_maps.cpu())
    return torch.cat(parts)
