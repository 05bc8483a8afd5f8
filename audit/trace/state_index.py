"""The index of known states: given any tensor, which states of the unmodified model is it?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from audit.trace.fingerprint import Prints, fingerprint, matches, row_views
from audit.trace.lineage import ORDERED_SITES, TERMINAL_SITES, Anchor

_MAX_ROWS = 200_000
_NOTHING = -1e6  # the key of a row of zeros, as a blank picture gives without a bias
_REACH = 8.0  # of keys, in tolerances: the most that both of their parts move by
_Site = tuple[str, int, str, str]


@dataclass
class _Shelf:
    """Known rows of one length, sorted when asked for."""

    prints: list[Prints] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    tolerances: list[float] = field(default_factory=list)
    widest: float = 0.0
    table: Prints | None = None
    keys: np.ndarray | None = None
    order: np.ndarray | None = None


class StateIndex:
    """Recognizes states by the values of their rows.

    Args:
        heads: numbers of heads that layouts may merge into the batch.
        of_cast: what a cast of a state to a dtype adds to the tolerance.
    """

    def __init__(self, heads: frozenset[int], of_cast: Callable[[torch.dtype], float]) -> None:
        self.heads = heads
        self._of_cast = of_cast
        self._shelves: dict[int, _Shelf] = defaultdict(_Shelf)

    def add(self, anchor: Anchor, state: Tensor, tolerance: float) -> None:
        """Register a state, (rows, …).

        Args:
            anchor: what it is.
            state: its values.
            tolerance: relative error of a value that rounding explains here.
        """
        rows = state.reshape(len(state), -1)
        shelf = self._shelves[rows.shape[1]]
        if len(shelf.anchors) + len(rows) > _MAX_ROWS:
            half = len(shelf.anchors) // 2
            joined = np.concatenate(shelf.prints)[half:]
            shelf.prints, shelf.anchors = [joined], shelf.anchors[half:]
            shelf.tolerances = shelf.tolerances[half:]
        shelf.prints.append(fingerprint(rows))
        shelf.anchors += [anchor] * len(rows)
        shelf.tolerances += [tolerance] * len(rows)
        shelf.widest = max(shelf.widest, tolerance)
        shelf.table = None

    def find(self, x: Tensor) -> list[frozenset[Anchor]]:
        """States that hold every row of ``x``, one set per site and part; the likeliest first.

        Several sites may hold equal values, as the input of a fresh LayerNorm and its output.
        """
        if x.numel() == 0 or not x.is_floating_point():
            return []
        cast = self._of_cast(x.dtype)
        for rows in row_views(x, self.heads):
            if rows.shape[1] in self._shelves and rows.shape[1] > 1:
                found = self._find_rows(fingerprint(rows), rows.shape[1], cast)
                if found:
                    return found
        return []

    def _find_rows(self, prints: Prints, length: int, cast: float) -> list[frozenset[Anchor]]:
        shelf = self._sorted(length)
        assert shelf.keys is not None and shelf.order is not None and shelf.table is not None  # noqa: S101, PT018
        keys = _keys(prints)
        reach = _REACH * max(shelf.widest, cast)
        low = np.searchsorted(shelf.keys, keys - reach)
        high = np.searchsorted(shelf.keys, keys + reach)
        rows: list[dict[_Site, set[Anchor]]] = []
        for row, (start, stop) in enumerate(zip(low, high, strict=True)):
            candidates = shelf.order[start:stop]
            if not len(candidates) or not np.isfinite(keys[row]):
                return []
            ordered = np.array([shelf.anchors[i].site in ORDERED_SITES for i in candidates])
            tolerances = np.array([max(shelf.tolerances[i], cast) for i in candidates])
            hit = matches(prints[row : row + 1], shelf.table[candidates], tolerances, ordered)[0]
            here: dict[_Site, set[Anchor]] = defaultdict(set)
            for index in candidates[hit]:
                anchor = shelf.anchors[index]
                here[(anchor.tower, anchor.block, anchor.site, anchor.part)].add(anchor)
            rows.append(here)
            if not here:
                return []
        sites = set.intersection(*(set(here) for here in rows))
        ranked = sorted(sites, key=_likeliness, reverse=True)
        return [_fewest_runs([here[site] for here in rows]) for site in ranked]

    def _sorted(self, length: int) -> _Shelf:
        shelf = self._shelves[length]
        if shelf.table is None:
            shelf.table = np.concatenate(shelf.prints)
            shelf.prints = [shelf.table]
            keys = _keys(shelf.table)
            shelf.order = np.argsort(keys)
            shelf.keys = keys[shelf.order]
        return shelf


def _likeliness(site: _Site) -> tuple[bool, int, _Site]:
    return site[2] in TERMINAL_SITES, site[1], site


def _fewest_runs(rows: list[set[Anchor]]) -> frozenset[Anchor]:
    """One run that holds every row, the earliest, else the earliest run of each row."""
    common = set.intersection(*rows)
    if common:
        return frozenset({min(common)})
    return frozenset(min(row) for row in rows)


def _keys(prints: Prints) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        square, count = prints[:, 2], prints[:, 5]
        keys = np.log(square) + prints[:, 1] / np.sqrt(count * square)
    return np.where(square == 0, _NOTHING, np.where(np.isfinite(keys), keys, np.inf))
