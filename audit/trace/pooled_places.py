"""Which token a tower's feature is read off, where it is not the one that the model pools."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from audit.models.structure import AnyTower
from audit.models.tower import Tower
from audit.models.transformer_block import TowerName
from audit.models.unwrapped_values import plain
from audit.trace.frames import Place
from audit.trace.observations import AlterationSeen
from audit.trace.passes import Passes

_POOLED = {"text": "the end-of-text token", "image": "the class token"}


class PooledPlaces:
    """Notes what meets the projection of a tower, and says which token it is.

    Args:
        passes: the runs.
    """

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._towers = {
            path: tower
            for tower in passes.structure.towers
            if isinstance(tower, Tower)
            for path in tower.projection_weights
        }
        self._projected: dict[str, tuple[Tower, Tensor, Place]] = {}

    def meets(self, path: str, values: Tensor, place: Place) -> None:
        """Values meet a parameter: those of a tower's end count that are not pooled as usual."""
        tower = self._towers.get(path)
        if tower is None or path in self._projected:
            return
        lineage = self._passes.lineages.get(values)
        sites = {(a.block, a.site) for a in lineage.anchors}
        if lineage.deviates or sites != {(len(tower.blocks), "final norm")}:
            return
        found = self._passes.find(values, (tower.name,), ())
        if not any(a.part == "pooled" for anchors in found for a in anchors):
            self._projected[path] = (tower, plain(values).detach().clone(), place)

    def of_projected(self, params: Collection[str]) -> str:
        """Which token, or mean of tokens, was projected with these parameters; else nothing."""
        for path in sorted(set(params) & set(self._projected)):
            tower, values, place = self._projected[path]
            with torch.no_grad():
                tokens = tower.final_norm(self._leaving(tower.name))
            if other := self._read(tower, values, tokens):
                return f"{self._words(tower, other)} ({place})"
        return ""

    def of_entered(self, one: AlterationSeen) -> str:
        """Which token entered the end of a tower, or nothing where that is not known."""
        tower = self._passes.structure.tower(one.tower)
        if not isinstance(tower, Tower) or one.sample is None or one.block != len(tower.blocks):
            return ""
        other = self._read(tower, one.sample, self._leaving(tower.name))
        return self._words(tower, other or "another state")

    def _leaving(self, name: TowerName) -> Tensor:
        """What the last block of a tower gives of the pair's own input, (1, t, d)."""
        passes = self._passes
        tower = passes.structure.tower(name)
        return passes.given_runs.entering(name, passes.precisions.given, len(tower.blocks))

    def _read(self, tower: AnyTower, values: Tensor, tokens: Tensor) -> str:
        """Which token but the pooled one, or mean of tokens, the values are; empty where none."""
        rows, every, pooled = values.reshape(-1, values.shape[-1]), tokens[0], self._pooled(tower)
        if len(rows) != 1:
            return ""
        means = [part.mean(0) for part in (every, every[1:], every[: pooled + 1]) if len(part)]
        known = torch.stack([*every, *means]).double()
        off = (rows.double() - known).norm(dim=-1)
        near = self._passes.rounding.tolerance(self._passes.precisions.given, "output")
        place = int(off.argmin())
        if place == pooled or off[place] > near * known[place].norm():
            return ""
        return f"token {place}" if place < len(every) else "the mean of tokens"

    def _pooled(self, tower: AnyTower) -> int:
        return int(tower.pooled_index(self._passes.given[tower.name]))

    def _words(self, tower: AnyTower, other: str) -> str:
        usual = f"{_POOLED[tower.name]} (token {self._pooled(tower)})"
        return f"the {tower.name} tower's feature is read off {other} in place of {usual}"
