"""Which usual mistake of placing a map fits the effects of removing patches best: P108."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import rankdata

from audit.evidence.kinds import Explanations, PatchEffects, Roles
from audit.result.wording import number
from audit.trace.records import Array


def _shifted(maps: Array) -> Array:
    """As if the class token's cell had not been dropped, which moves every patch on by one."""
    flat = maps.reshape(len(maps), -1)
    return np.roll(flat, -1, axis=1).reshape(maps.shape)


_TURNS: Mapping[str, Callable[[Array], Array]] = {
    "as they are": lambda maps: maps,
    "with rows and columns exchanged": lambda maps: maps.swapaxes(-1, -2),
    "flipped left to right": lambda maps: maps[..., ::-1],
    "flipped top to bottom": lambda maps: maps[..., ::-1, :],
    "with the opposite sign": lambda maps: -maps,
    "shifted back by one patch": _shifted,
}


def best_fit(effects: PatchEffects, explanations: Explanations, roles: Roles) -> str:
    """A sentence where the maps fit the effects better when placed otherwise; else nothing."""
    maps = explanations.maps[roles.audited][effects.pairs]
    removed = effects.effects.mean(0)
    fits = {
        name: _agreement(turned, removed)
        for name, turn in _TURNS.items()
        if (turned := turn(maps)).shape == removed.shape
    }
    own, best = fits["as they are"], max(fits, key=lambda name: fits[name])
    if best == "as they are" or fits[best] <= 0:
        return ""
    return (
        f"The maps fit the removal effects better {best} (mean rank correlation "
        f"{number(fits[best])} in place of {number(own)}): check how they are put on the picture."
    )


def _agreement(maps: Array, effects: Array) -> float:
    """Mean rank correlation over the pairs, 0 where one of the two is constant."""
    one, other = (rankdata(x.reshape(len(x), -1), axis=1) for x in (maps, effects))
    one, other = (x - x.mean(1, keepdims=True) for x in (one, other))
    size = np.sqrt((one**2).sum(1) * (other**2).sum(1))
    product = (one * other).sum(1)
    return float(np.divide(product, size, out=np.zeros(len(size)), where=size > 0).mean())
