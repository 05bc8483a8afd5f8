"""Where explainers meet a model: what they ask for by keyword is given to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from jaxtyping import Int
from torch import Tensor

from audit.explainers.contract import AtHand, Explainer
from audit.explainers.errors import NeedsHeadsError
from audit.explainers.model_needs import NEEDS, lacking
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
    own = None if classes is None else classes.to(model.device).clone()
    return bound_alike(explainer, AtHand(model.interface, own, lacking(model)))


def bound_alike(explainer: Explainer, at_hand: AtHand) -> Explainer:
    """The explainer with what it asks for, as another one is bound already.

    Raises:
        NeedsHeadsError: it reads attention heads, and those of the model are not known.
    """
    for need in _unmet(explainer, at_hand.lacks):
        expected, instead = NEEDS[need]
        raise NeedsHeadsError(
            f"explainer '{explainer.name}' {expected}, found another ({at_hand.lacks[need]}); "
            f"{instead}"
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


def needs_met(explainer: Explainer, lacks: Mapping[str, str]) -> bool:
    """Whether a model that lacks some of `NEEDS` has what the explainer reads of its inside."""
    return not _unmet(explainer, lacks)


def _unmet(explainer: Explainer, lacks: Mapping[str, str]) -> list[str]:
    return [need for need in (explainer.needs, *explainer.needs_also) if need in lacks]
