"""A step of a tower whose inside is not known."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from audit.models.transformer_block import TowerName
from audit.models.value_flow import Step, tensors_among


@dataclass(frozen=True)
class Stage:
    """A step of a tower whose inside is not known.

    Attributes:
        tower: the tower that it belongs to.
        index: its place in the tower, from 0.
        path: dotted name of the module in the model.
        module: the step itself.
        step: how it is called.
    """

    tower: TowerName
    index: int
    path: str
    module: nn.Module
    step: Step

    def run(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The step as the model runs it."""
        del mask

        def fitting(t: Tensor) -> Tensor:
            return t.to(x.device, x.dtype if t.is_floating_point() else t.dtype)

        args, keywords = tree_map_only(Tensor, fitting, (self.step.args, self.step.keywords))
        return next(tensors_among(self.module(x, *args, **keywords)))
