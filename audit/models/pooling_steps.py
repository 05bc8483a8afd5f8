"""Which steps of a tower are a pooling by attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from audit.models.attention_pooling import AttentionPooling, has_row, pooling_view


@dataclass(frozen=True)
class PoolingSteps:
    """Steps that are one pooling by attention.

    Attributes:
        view: of the pooling.
        first: number of the first step, which the tokens enter.
        stop: the number behind that of the last step.
    """

    view: AttentionPooling
    first: int
    stop: int


def pooling_steps(
    model: nn.Module, paths: Sequence[str], index: int, x: Tensor
) -> PoolingSteps | None:
    """The pooling that a step is the first one of.

    Args:
        model: the whole module.
        paths: dotted names of all steps.
        index: number of the step.
        x: what enters it.

    Returns:
        The pooling, or None where the step begins none that is known.
    """
    names = paths[index].split(".")
    for outer in (".".join(names[:n]) for n in range(1, len(names) + 1)):
        module = model.get_submodule(outer)
        if x.ndim == 3 and has_row(module):
            view = pooling_view(outer, module, x)
            inside = [i for i, path in enumerate(paths) if f"{path}.".startswith(f"{outer}.")]
            ends = {outer, f"{outer}.{view.names.parts.projection}"} if view else set()
            if view and paths[inside[-1]] in ends and inside == [*range(index, inside[-1] + 1)]:
                return PoolingSteps(view, index, index + len(inside))
    return None
