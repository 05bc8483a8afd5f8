"""Texts without what stands behind their end, of which a causal tower makes the same feature."""

from __future__ import annotations

import torch
from torch import Tensor

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.trace.lineage import Lineage
from audit.trace.observations import Run
from audit.trace.precision import Precision
from audit.trace.rounding import Rounding
from audit.trace.runs import Runs


def hides_what_follows(tower: AnyTower, length: int) -> bool:
    """Whether no token of a tower sees those behind it."""
    mask = tower.mask(length) if isinstance(tower, Tower) else None
    return mask is not None and bool(torch.isneginf(mask[torch.ones_like(mask).triu(1) > 0]).all())


def is_shorter(tower: AnyTower, tokens: Tensor, given: Tensor) -> bool:
    """Whether these are texts of a shorter context, which the tower can take."""
    length = tokens.shape[-1]
    return (
        tower.name == "text"
        and tokens.ndim == given.ndim == 2
        and 1 < length < given.shape[1]
        and hides_what_follows(tower, given.shape[1])
    )


def same_up_to_the_end(tower: AnyTower, tokens: Tensor, given: Tensor) -> Tensor:
    """Which rows (b, t) are a given text (1, context) up to the token that is pooled, (b,)."""
    end = int(tower.pooled_index(given))
    if tokens.shape[1] <= end:
        return torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    same = (tokens[:, : end + 1] == given[:, : end + 1]).all(1)
    return same & (tower.pooled_index(tokens) == end)


class ShorterTexts:
    """Runs that go on from the first tokens of others.

    Args:
        runs: of the trace.
        rounding: how far it moves states.
    """

    def __init__(self, runs: Runs, rounding: Rounding) -> None:
        self._runs = runs
        self._rounding = rounding

    def cut_off(
        self, tower: AnyTower, index: int, x: Tensor, lineage: Lineage, precision: Precision
    ) -> Run | None:
        """The run of the first tokens that a text has at a block; None where it is another.

        Args:
            tower: that is entered.
            index: of the block, or the number of blocks for the final norm.
            x: what enters, (b, t, d).
            lineage: of ``x``.
            precision: in which the tower goes on.
        """
        run = self._run_of(tower, index, lineage)
        if run is None or run.tokens is None or x.ndim != 3 or len(x) != len(run.tokens):
            return None
        assert isinstance(tower, Tower)  # noqa: S101 - asked for the mask
        length, context = x.shape[1], run.tokens.shape[1]
        if length >= context or bool((tower.pooled_index(run.tokens) >= length).any()):
            return None
        with precision.entered(), torch.no_grad():
            whole = tower.run(tower.embed(run.tokens), 0, index, run.tokens)[:, :length]
        near = self._rounding.tolerance(precision, "input") * whole.norm(dim=-1)
        if not bool(((x - whole).norm(dim=-1) <= near).all()):
            return None
        tokens = run.tokens[:, :length]
        return self._runs.new(tower.name, run.inherits, tokens, run.roots, precision)

    def _run_of(self, tower: AnyTower, index: int, lineage: Lineage) -> Run | None:
        """The run whose tokens these may be, by where they come from."""
        sites = {(tower.name, index, "input", "all"), (tower.name, index - 1, "output", "all")}
        found = {(a.tower, a.block, a.site, a.part) for a in lineage.anchors}
        if lineage.deviates or not found or not found <= sites:
            return None
        run = self._runs[min(a.run for a in lineage.anchors)]
        known = run.tokens is not None and hides_what_follows(tower, run.tokens.shape[1])
        return run if known else None
