"""What an explanation costs, in operations rather than seconds: the same on every machine."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from audit.evidence.context import Context
from audit.evidence.counted_passes import multiplications
from audit.evidence.evenly_spaced import evenly_spaced
from audit.evidence.explained_copies import batch, maps_of, own_copy
from audit.evidence.kinds import Costs
from audit.explainers.contract import Explainer
from audit.trace.instrument import Instrument, Observer
from audit.trace.operations import Operation

AFFORDABLE = 12.0
LEAST = 4


def gather_costs(context: Context) -> Costs:
    """Costs of the explainers that are run more often than on every pair once."""
    names = (context.roles.audited, *context.roles.positive[:1])
    return Costs({name: cost(context, context.explainers[name]) for name in names})


def affordable_pairs(context: Context, cost: float, wanted: int) -> Int[Tensor, " n"]:
    """Pairs spread over the data: as many as wanted, fewer for an explainer that costs a lot."""
    affordable = max(LEAST, int(wanted * AFFORDABLE / cost))
    return torch.tensor(evenly_spaced(len(context.pairs), min(wanted, affordable)))


def cost(context: Context, explainer: Explainer) -> float:
    """Operations of one explanation over those of one score; the same on every machine."""
    images, targets = batch(context, torch.tensor([0]), context.model.dtype)
    model = context.pristine_model
    forward, explaining = _Multiplications(), _Multiplications()
    with torch.no_grad(), Instrument(images.device, forward):
        model.score(images, targets)
    with Instrument(images.device, explaining):
        maps_of(context, explainer, own_copy(context.pristine), torch.tensor([0]))
    ratio: float = explaining.count / max(forward.count, 1)
    return max(1.0, ratio)


def is_expensive(cost: float) -> bool:
    """Whether an explainer costs so much that fewer of its maps must do."""
    return cost > AFFORDABLE


class _Multiplications(Observer):
    """Counts those of matrix products and convolutions."""

    def __init__(self) -> None:
        self.count = 0

    def after_operation(self, note: Any, operation: Operation, out: Any) -> None:
        """Count an operation's."""
        del note
        self.count += multiplications(operation.func, operation.args, operation.kwargs, out)
