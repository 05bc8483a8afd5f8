"""Where explainers meet a model: what they ask for by keyword is given to them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from jaxtyping import Int
from torch import Tensor

from audit.explainers.contract import AtHand, Explainer
from audit.explainers.errors import NeedsHeadsError
from audit.models.anatomy import UnknownAnatomyError
from audit.models.model_under_audit import ModelUnderAudit


def bound(
    explainer: Explainer, model: ModelUnderAudit, classes: Int[Tensor, "classes ..."] | None
) -> Explainer:
    """The explainer with what it asks for by keyword, of the model that it is to explain.

    One that was bound to another model before is bound to this one.

    Args:
        explainer: as it was loaded.
        model: the model under audit; copies of its module are called in the same way.
        classes: the targets of all classes of the data, None where there are none.

    Raises:
        NeedsHeadsError: it reads attention heads, and those of the model are not known.
    """
    try:
        model.require_anatomy()
        no_heads = ""
    except UnknownAnatomyError as error:
        no_heads = str(error) or f"the inside of {type(model.module).__name__} is not known"
    own = None if classes is None else classes.to(model.device).clone()
    return bound_alike(explainer, AtHand(model.interface, own, no_heads))


def bound_alike(explainer: Explainer, at_hand: AtHand) -> Explainer:
    """The explainer with what it asks for, as another one is bound already.

    Raises:
        NeedsHeadsError: it reads attention heads, and those of the model are not known.
    """
    if not needs_met(explainer, at_hand):
        raise NeedsHeadsError(
            f"explainer '{explainer.name}' reads attention heads: expected a model in which they "
            f"are known, found one in which they are not ({at_hand.no_heads}); choose an explainer "
            "that needs none, such as gradient, grad-cam or occlusion"
        )
    values = {
        "interface": at_hand.interface,
        "classes": at_hand.classes,
        "preprocess": at_hand.interface.preprocess,
        "tokenizer": at_hand.interface.encode,
    }
    given = {name: values[name] for name in explainer.asks}
    explain = partial(explainer.explain, **given) if given else explainer.explain
    return replace(explainer, explain=explain, at_hand=at_hand)


def needs_met(explainer: Explainer, at_hand: AtHand) -> bool:
    """Whether the model has what the explainer reads of its inside."""
    return not (explainer.needs == "heads" and at_hand.no_heads)
