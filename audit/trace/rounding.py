"""How far rounding alone moves a state: the null control of every comparison of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from audit.models.pristine import pristine_copy_in
from audit.models.structure import AnyTower, Structure
from audit.models.tower import Tower
from audit.models.transformer_block import TowerName
from audit.trace.fingerprint import Prints
from audit.trace.gradient_rounding import between_gradients
from audit.trace.precision import Precision, coarser
from audit.trace.states import State, block_states, final_states, token_parts
from audit.trace.step_rounding import between_steps, in_company, needed, prints_of, step_states

_Kind = tuple[torch.dtype, torch.dtype | None]
USUAL = ""
MARGIN = 6.0  # times what the null control shows: other shapes, threads and kernels round otherwise


class Rounding:
    """Tolerances, measured once for each precision and for each dtype that states are cast to.

    One object serves all pairs of an audit, so that the same is measured whichever pairs are left.

    Args:
        given: a picture of one pair and, where there is a text tower, its token ids.
    """

    def __init__(self, given: dict[TowerName, Tensor]) -> None:
        self._given = given
        self._of_kernels: dict[tuple[_Kind, bool], Mapping[str, float]] = {}
        self._of_gradients: dict[_Kind, float] = {}
        self._of_casts: dict[tuple[torch.dtype, _Kind], float] = {}

    def tolerance(self, precision: Precision, site: str) -> float:
        """Relative error of a value that kernels and company in the batch explain, with a margin.

        A site whose null control is quieter than that of most is given theirs.
        """
        known = self._known(precision, chained=not precision.is_coarse)
        return MARGIN * known.get(site, known[USUAL])

    def measure(self, precision: Precision) -> None:
        """Measure now what is measured once: not while modules give what they are told."""
        self.tolerance(precision, USUAL)

    def of_features(self, precision: Precision) -> float:
        """The same for features, to which the roundings of all blocks have added up."""
        known = self._known(precision, chained=True)
        return MARGIN * known.get("unit feature", known["feature"])

    def _known(self, precision: Precision, *, chained: bool) -> Mapping[str, float]:
        known = self._of_kernels.get((_kind(precision), chained))
        if known is None:
            comparable = _comparable(precision)
            factor = _unit(precision) / _unit(comparable)
            with comparable.entered():
                found = self._between_ways(comparable.structure, chained=chained)
            measured = {site: factor * one for site, one in found.items()}
            usual = float(np.median(list(measured.values())))
            known = {site: max(one, usual) for site, one in measured.items()} | {USUAL: usual}
            self._of_kernels[_kind(precision), chained] = known
        return known

    def of_gradients(self, precision: Precision) -> float:
        """The same for gradients, which have a null control of their own.

        The largest of all states counts: rounding adds up on the way back.
        """
        known = self._of_gradients.get(_kind(precision))
        if known is None:
            comparable = _comparable(precision)
            factor = _unit(precision) / _unit(comparable)
            known = factor * max(between_gradients(comparable, self._given), default=0.0)
            self._of_gradients[_kind(precision)] = known
        return MARGIN * known

    def of_cast(self, dtype: torch.dtype, precision: Precision) -> float:
        """The same for values that were cast to a coarser dtype afterwards."""
        if coarser(dtype, precision.coarsest) is precision.coarsest:
            return 0.0
        known = self._of_casts.get((dtype, _kind(precision)))
        if known is None:
            pairs = _cast_prints(precision.structure.image, self._given["image"], dtype)
            known = MARGIN * max(needed(one, other) for one, other in pairs)
            self._of_casts[dtype, _kind(precision)] = known
        return known

    def _between_ways(self, structure: Structure, *, chained: bool) -> dict[str, float]:
        """What states of the given pair differ by, computed by modules and by their parts.

        Where the parts are not known, the same modules in double precision take their place.

        Args:
            structure: of the model.
            chained: whether the parts go on from their own results, block after block, or from
                what the model's own blocks give.
        """
        found: dict[str, float] = {}
        for name, given in self._given.items():
            tower = structure.tower(name)
            company = in_company(name, given)
            if not isinstance(tower, Tower):
                ways = between_steps(
                    tower,
                    given,
                    company,
                    chained=chained,
                    needed_by=partial(structure.may_need, name),
                )
                for site, off in ways:
                    found[site] = max(found.get(site, 0.0), off)
                continue
            usual = [
                (site, prints_of(state), len(state))
                for site, _, state in _states(tower, given, by_hand=False)
            ]
            for inputs, fused in ((company, True), (given, False)):
                other = _states(tower, inputs, by_hand=True, fused=fused, chained=chained)
                for (site, one, rows), (_, _, two) in zip(usual, other, strict=True):
                    off = needed(one, prints_of(two[:rows]))
                    found[site] = max(found.get(site, 0.0), off)
        return found


def _kind(precision: Precision) -> _Kind:
    return precision.weights, precision.autocast


def _comparable(precision: Precision) -> Precision:
    """A precision that can be compared with a finer one.

    Nothing is finer than double precision, whose kernels may well agree in every bit where the
    control looks: single precision stands for it, to be scaled.
    """
    if precision.weights is not torch.float64 or precision.autocast is not None:
        return precision
    copied = pristine_copy_in(precision.structure.model, torch.float32)
    structure = precision.structure.on(copied)
    return Precision(structure, torch.float32, None, precision.library)


def _unit(precision: Precision) -> float:
    """The relative distance of neighboring numbers."""
    return torch.finfo(precision.coarsest).eps


def _states(
    tower: Tower, inputs: Tensor, *, by_hand: bool, fused: bool = False, chained: bool = False
) -> Iterator[State]:
    """States of every block.

    Args:
        tower: of the model.
        inputs: pictures or token ids.
        by_hand: whether a block's output is computed by its parts, or by its module.
        fused: whether the parts use torch's fused kernel of attention.
        chained: whether a block receives what the parts give, or what the model's own blocks do.
    """
    pooled = tower.pooled_index(inputs)
    dtype = next(tower.module.parameters()).dtype
    x = tower.embed(inputs.to(dtype) if inputs.is_floating_point() else inputs)
    mask = tower.mask(x.shape[1])
    for block in tower.blocks:
        states = list(block_states(block, x, mask, pooled, fused=fused))
        if chained:
            x = next(s for site, part, s in states if (site, part) == ("output", "all"))
        else:
            x = block.run(x, mask)
        yield from (one for one in states if by_hand or one[0] != "output")
        if not by_hand:
            yield from (("output", part, state) for part, state in token_parts(x, pooled))
    yield from final_states(tower, x, pooled)


def _cast_prints(
    tower: AnyTower, given: Tensor, dtype: torch.dtype
) -> Iterator[tuple[Prints, Prints]]:
    """Fingerprints of states as they are, and cast."""
    if isinstance(tower, Tower):
        states: Iterable[Tensor] = (x for _, _, x in _states(tower, given, by_hand=False))
    else:
        states = step_states(tower, given)
    for x in states:
        yield prints_of(x), prints_of(x.to(dtype))
