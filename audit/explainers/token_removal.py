"""Drop of the score when a token is taken out of the text."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.explainers.contract import Explanation
from audit.explainers.last_block import widen
from audit.explainers.probed_features import batch_of
from audit.explainers.text_pass import text_pairs_of
from audit.models.model_under_audit import ModelInterface
from audit.models.module_interface import ScoreInterface, interface_of

PADDING = 0


@torch.no_grad()
def token_removal(
    model: nn.Module,
    images: Float[Tensor, "pairs 3 H W"],
    targets: Int[Tensor, "pairs context"],
    *,
    interface: ModelInterface | None = None,
) -> Explanation:
    """Drop of the score when a token is taken out of the text, and what follows it moves up.

    Texts without a token are computed once for each distinct text: only the picture differs.

    Returns:
        Token maps (pairs, context), signed, in units of the score, 0 outside the text; even maps of
        the pictures; the model's scores.

    Raises:
        UnknownAnatomyError: the text tower is not known, and with it where a text ends.

    Source:
        Li, Monroe and Jurafsky, "Understanding Neural Networks through Representation Erasure"
        (2016).
    """
    called: ScoreInterface = interface or interface_of(model)
    pairs = text_pairs_of(model, images, targets, interface)
    text, place = pairs.content.nonzero(as_tuple=True)
    shorter = without(pairs.tokens[text], place)
    whole = called.target_features(model, pairs.tokens)
    scores = (whole[pairs.text] * pairs.pictures).sum(-1)
    left = [called.target_features(model, some) for some in shorter.split(batch_of(images.device))]
    features = whole[:, None].repeat(1, targets.shape[1], 1)
    if left:
        features[text, place] = torch.cat(left)
    kept = (features[pairs.text] * pairs.pictures[:, None]).sum(-1)
    return pairs.explanation(widen(scores[:, None] - kept), scores)


def without(
    tokens: Int[Tensor, "rows context"], place: Int[Tensor, " rows"]
) -> Int[Tensor, "rows context"]:
    """Each row without the token at a place, filled up with padding at the end."""
    moved = nn.functional.pad(tokens, (0, 1), value=PADDING)[:, 1:]
    later = torch.arange(tokens.shape[1], device=tokens.device) >= place[:, None]
    return torch.where(later, moved, tokens)
