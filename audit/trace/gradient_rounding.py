"""How far rounding alone moves gradients by the states of a tower."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor
from torch.nn import functional

from audit.models.pristine import pristine_copy_in
from audit.models.transformer_block import TowerName
from audit.trace.differentiable_states import graphs_of_states
from audit.trace.fingerprint import Prints
from audit.trace.lineage import Lineage
from audit.trace.observations import Run
from audit.trace.precision import Precision
from audit.trace.step_rounding import in_company, needed, prints_of

_Gradients = dict[tuple[int, str, int], Prints]


def between_gradients(precision: Precision, given: dict[TowerName, Tensor]) -> Iterator[float]:
    """What gradients of a feature at unit length differ by, in company and in double precision.

    At unit length, as in a cosine, what lies along the feature cancels, which rounds more.

    Args:
        precision: of the model.
        given: a picture and, where there is a text tower, token ids.

    Yields:
        For each state the least tolerance at which its gradients agree.
    """
    exact = Precision(
        precision.structure.on(pristine_copy_in(precision.structure.model, torch.float64)),
        torch.float64,
        None,
        precision.library,
    )
    for name, inputs in given.items():
        usual = _gradients(precision, name, inputs, len(inputs))
        for other in (
            _gradients(exact, name, inputs, len(inputs)),
            _gradients(precision, name, in_company(name, inputs), len(inputs)),
        ):
            for (block, site, number), one in usual.items():
                two = other.get((block, site, number))
                if two is not None and two.shape == one.shape:
                    yield needed(one, two)


def _gradients(precision: Precision, name: TowerName, inputs: Tensor, rows: int) -> _Gradients:
    """Fingerprints of the gradients of the first rows' features along one direction."""
    tower = precision.structure.tower(name)
    run = Run(name, 0, Lineage(), None, frozenset(), precision, inputs=inputs)
    prints: _Gradients = {}
    numbers = count()
    with precision.entered(), torch.enable_grad():
        every = {(index, "") for index in range(len(tower.blocks))}
        for graph in graphs_of_states(tower, run, "feature", every, hooked=False):
            states, feature = graph[:-1], functional.normalize(graph[-1][2][:rows], dim=-1)
            direction = torch.ones_like(feature).cumsum(-1).sin()  # without a pattern
            found = torch.autograd.grad(
                feature, [state for _, _, state in states], direction, allow_unused=True
            )
            for (block, site, _), slope in zip(states, found, strict=True):
                number = next(numbers)
                if slope is not None:
                    prints[block, site, number] = prints_of(slope[:rows])
    return prints
