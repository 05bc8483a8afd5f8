"""How far rounding alone moves the states of a tower that is known by its steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from audit.models.pristine import pristine_copy_in
from audit.models.tower_chain import ChainTower
from audit.models.transformer_block import Block, TowerName
from audit.trace.fingerprint import Prints, fingerprint, needed_tolerance
from audit.trace.states import Told, tell_block, tell_final

_SAMPLED = 2**15  # values of a state, for each picture, where there are twice as many
_ENDS = frozenset({"input", "output", "feature", "unit feature"})


def between_steps(
    tower: ChainTower,
    given: Tensor,
    company: Tensor,
    *,
    chained: bool,
    needed_by: Callable[[str], bool] = lambda _path: True,
) -> Iterator[tuple[str, float]]:
    """What states differ by: alone, in company, fused, by modules and in double precision.

    Args:
        tower: of the model.
        given: pictures or token ids.
        company: the same, with others after them.
        chained: whether double precision goes on from its own results, step after step.
        needed_by: whether the tower may need a parameter, by its dotted name; those of another
            tower take no room in double precision.

    Yields:
        The site of a state, and the least tolerance at which the two agree.
    """
    usual = _prints_by_site(tower, given, rows=len(given))
    exact = tower.on(pristine_copy_in(tower.model, torch.float64, needed_by))
    for other in (
        _prints_by_site(tower, company, rows=len(given), fused=True),
        _prints_by_site(exact, given, rows=len(given), after=None if chained else tower),
    ):
        alike = list(usual) == list(other)  # else kernels take other steps, and ends alone compare
        for (site, number), one in usual.items():
            if alike or site in _ENDS:
                yield site, needed(one, other[site, number])
    yield from _by_modules(tower, given)


def in_company(name: TowerName, given: Tensor) -> Tensor:
    """Pictures or token ids with as many others after them, for which kernels may round otherwise.

    Texts are their own company: which states there are goes by where a text ends.
    """
    return torch.cat([given, given.flip(-1) if name == "image" else given])


def step_states(tower: ChainTower, given: Tensor) -> list[Tensor]:
    """Copies of all states of a tower's steps."""
    found: list[Tensor] = []
    _walk(tower, given, lambda _site, _part, state: found.append(state.clone()))
    return found


def _by_modules(tower: ChainTower, given: Tensor) -> Iterator[tuple[str, float]]:
    """What outputs of known blocks differ by, given by their modules and put together by parts."""
    if not any(isinstance(block, Block) for block in tower.blocks):
        return
    x, pooled = tower.embed(given), tower.pooled_index(given)
    for block in tower.blocks:
        mask = tower.mask(x.shape[1])
        output = block.run(x, mask)
        if isinstance(block, Block):
            parts = tell_block(block, x, mask, pooled, lambda *_: None)
            yield "output", needed(prints_of(output), prints_of(parts))
        if block.index + 1 < len(tower.blocks):
            x = tower.passed_on(output, block.index, given)


def _prints_by_site(
    tower: ChainTower,
    inputs: Tensor,
    rows: int,
    after: ChainTower | None = None,
    *,
    fused: bool = False,
) -> dict[tuple[str, int], Prints]:
    """Fingerprints of the states of a tower's steps, by site and place among those of the site."""
    found: dict[tuple[str, int], Prints] = {}
    counts: Counter[str] = Counter()

    def told(site: str, _part: str, state: Tensor) -> None:
        found[site, counts[site]] = prints_of(state[:rows])
        counts[site] += 1

    _walk(tower, inputs, told, after, fused=fused)
    return found


def _walk(
    tower: ChainTower,
    inputs: Tensor,
    told: Told,
    after: ChainTower | None = None,
    *,
    fused: bool = False,
) -> None:
    """Tell of the states of every step and of the end.

    Args:
        tower: of the model, or of a copy in another precision.
        inputs: pictures or token ids.
        told: of each state.
        after: the tower whose own values enter each step; by default this one's.
        fused: whether known blocks mix values by torch's fused kernel.
    """
    lead = after or tower
    weight, first = tower.weight.dtype, lead.weight.dtype
    x = lead.embed(inputs.to(first) if inputs.is_floating_point() else inputs)
    pooled = tower.pooled_index(inputs)
    output = x
    for block in tower.blocks:
        mask = tower.mask(x.shape[1])
        output = tell_block(block, x.to(weight), mask, pooled, told, fused=fused)
        if after is not None:
            output = after.blocks[block.index].run(x, mask)
        if block.index + 1 < len(tower.blocks):
            x = lead.passed_on(output, block.index, inputs)
    if output.is_floating_point():  # ids where no step is known
        output = output.to(weight)
    tell_final(tower, output, pooled, inputs, told)


def prints_of(x: Tensor) -> Prints:
    """Fingerprints of a state, one for each picture or text.

    Of a large state values that are evenly spaced are taken: how far rounding moves values is the
    same for some of them as for all.
    """
    rows = x.reshape(len(x), -1)
    apart = rows.shape[1] // _SAMPLED
    return fingerprint(rows[:, :: apart | 1] if apart > 1 else rows)


def needed(one: Prints, other: Prints) -> float:
    """The least tolerance at which two sets of fingerprints are the same values."""
    found = needed_tolerance(one, other)
    return float(found[np.isfinite(found)].max(initial=0.0))
